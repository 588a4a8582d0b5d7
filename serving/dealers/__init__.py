"""One dealer: why it is where it is, and all that is known of it."""
