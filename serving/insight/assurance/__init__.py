"""The papers that an agency needs before it may run this, from real figures; signatures stay empty.

The door is `papers.papers`.
"""
