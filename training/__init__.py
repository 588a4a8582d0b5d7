"""History to an evaluated, registered bundle."""
