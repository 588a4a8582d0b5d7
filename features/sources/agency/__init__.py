"""An agency's own export, read through a mapping file: of a file or of a query."""
