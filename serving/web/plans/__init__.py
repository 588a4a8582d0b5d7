"""Pages of plans: made, kept, changed, handed over."""
