"""What each family asks of the dealers' events, and what of it stands behind which signal."""
