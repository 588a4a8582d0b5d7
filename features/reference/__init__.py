"""Law, codes and geography as dated data, and the functions that read them."""
