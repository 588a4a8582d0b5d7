"""The simulated country: invented dealers whose truth is known."""
