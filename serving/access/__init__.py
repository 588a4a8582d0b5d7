"""Who asks, what they may, how often, and the record of it."""
