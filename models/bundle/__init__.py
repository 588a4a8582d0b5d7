"""A bundle and what lies in it: files proven whole, the card, a profile of the training rows."""
