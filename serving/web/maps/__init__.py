"""The page Map, and the marks on it."""
