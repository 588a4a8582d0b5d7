"""Signals worked out: kernels over sorted events, as-of views, engines embedded and Spark."""
