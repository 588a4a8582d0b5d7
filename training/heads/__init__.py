"""From the country's history to fitted models: a module or two a head, and what heads share."""
