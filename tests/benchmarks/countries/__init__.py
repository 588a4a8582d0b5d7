"""Countries whose truth is known, made in different ways, and lists judged against it."""
