"""Aggregates for partners: the rules, the cells that are hidden, the attack they must stand.

The door is `release.release`. One set of tables is made a quarter for all partners, so that two
partners' files cannot be held against each other; each gets a part of it.
"""
