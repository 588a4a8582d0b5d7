"""The fitted log-odds or log-rate: linear part, trees, their blend and level."""
