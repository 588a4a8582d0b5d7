"""The JSON interface: callers, problems, routes, and a client of it."""
