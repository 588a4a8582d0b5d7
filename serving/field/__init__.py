"""What comes back from the field: outcomes, events, and referrals that cannot wait."""
