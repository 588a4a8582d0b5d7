"""A copy of the whole state, taken while the service runs, and put back only when it is whole."""
