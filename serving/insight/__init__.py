"""What the warehouse says beside the ranking, for callers: flows, completeness, aggregates."""
