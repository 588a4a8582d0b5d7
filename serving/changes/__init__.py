"""Who follows what is written: the changes a caller may see, and webhooks that are told."""
