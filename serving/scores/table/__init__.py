"""The scored table on disk, and the facts that stand in it beside the scores."""
