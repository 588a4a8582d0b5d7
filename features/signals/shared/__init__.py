"""What crosses dealers or rests on listings, worked out once for all families that need it."""
