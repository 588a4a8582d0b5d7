"""Questions asked of history, each beside the page in `pages` that answers it."""
