"""A publisher's bytes to the rows of a table: what a file is, and how it is read."""
