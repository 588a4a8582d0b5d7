"""Rows to canonical files, and the defects put into them."""
