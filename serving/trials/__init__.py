"""Trials in the field: two ways of choosing visits, compared by lot and read as planned."""
