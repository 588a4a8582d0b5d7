"""Pages of lists: issued, read, decided about, and why a dealer stands where it stands."""
