"""A bundle to answers: lists, scores, plans and pages."""
