"""One module a head: the country's history to fitted models."""
