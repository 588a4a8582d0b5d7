"""The values the field speaks of: dates, license numbers, citations, outcomes, places."""
