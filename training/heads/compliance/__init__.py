"""The compliance head: fitted, judged year by year, and what its lists would find."""
