"""The values the field speaks of: dates, license numbers, counties, postal codes, number words."""
