"""Any table of numbers, categories and dates to a matrix."""
