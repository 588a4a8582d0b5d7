"""The solver's part of a plan: draw, choose, route, price."""
