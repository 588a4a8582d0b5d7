"""The studies as pages, a module each."""
