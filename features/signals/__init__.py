"""One module a family of signals; the registry lists them all."""
