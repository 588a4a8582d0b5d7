"""Figures of law, citations and outcomes as dated data, and the rules computed from them."""
