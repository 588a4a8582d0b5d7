"""How much a label counts: who was chosen, what is still open, how old it is."""
