"""A mapping proposed from an export, for a clerk to complete."""
