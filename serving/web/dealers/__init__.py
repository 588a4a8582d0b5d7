"""Pages of one dealer: the dossier, its timeline, what a visit found, studies like it."""
