"""Questions asked of history, each beside the page that answers it."""
