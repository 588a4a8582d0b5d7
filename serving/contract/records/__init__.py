"""The documents that the service makes, key by key: what a step hands to the next and to a page."""
