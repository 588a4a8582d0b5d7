"""The published scores: made, kept in memory, and cut to what a caller may see."""
