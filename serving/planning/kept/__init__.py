"""Plans as things: made into one document, kept by version, written as files."""
