"""One module a publisher: bytes in, checked rows out."""
