"""The families of signals that ship: a module each, named as their signals begin."""
