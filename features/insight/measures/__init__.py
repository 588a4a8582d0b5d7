"""Performance measures: formulas over named figures, each with the decision it serves.

The door is `measure.measure`. A measure without data says that it cannot be said; a formula that
names a figure nobody knows is an error when the registry is read.
"""
