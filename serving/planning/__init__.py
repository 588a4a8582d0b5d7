"""Which dealers an office visits in which week: chosen by a solver, routed by another."""
