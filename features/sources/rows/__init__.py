"""How rows are written: separators, quotes, headers, records, dates; bytes in, rows out."""
