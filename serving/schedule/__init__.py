"""Runs by the clock: the steps of a night and of a month, one after the other, told in one line."""
