"""Paths to the files that they name, and their bytes: unpacked, decompressed, checked whole."""
