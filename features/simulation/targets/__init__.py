"""The simulated country held to published figures, and what its data can and cannot show."""
