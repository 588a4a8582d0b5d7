"""Files for people: spreadsheets with real dates and numbers, tagged PDF with page numbers."""
