"""How the heads become one order: priority, restraint, places taken off, ties, the random share."""
