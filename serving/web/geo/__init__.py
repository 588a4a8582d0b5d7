"""County and state shapes as SVG paths, and how they were made."""
