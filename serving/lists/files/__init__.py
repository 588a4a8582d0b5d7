"""A list as it leaves the house: files, the contest packet, and what stands beside the rows."""
