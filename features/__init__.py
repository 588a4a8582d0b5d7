"""Raw files to one row per dealer as of a date."""
