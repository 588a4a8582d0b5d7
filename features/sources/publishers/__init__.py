"""Layouts known beforehand: the published listing and inspections, and the contract's own."""
