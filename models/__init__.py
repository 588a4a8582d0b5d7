"""A fitted model as a value: heads, calibration, explanation, bundle."""
