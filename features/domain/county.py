"""County codes that listings and license numbers still carry, and the county of today.

A license number keeps the county code it was issued with, so that codes of counties that were
renamed or joined to another stay in listings for decades. Only changes with one successor stand
here; a code that no county ever had is a slip of the pen and means no county.

References
----------
U.S. Census Bureau, Substantial Changes to Counties and County Equivalent Entities: 1970-Present.
"""

from __future__ import annotations

from typing import Final

COUNTY_CHANGES: Final = {
    "02270": "02158",  # Wade Hampton became Kusilvak in 2015
    "11000": "11001",  # the District of Columbia has one county, 001
    "12025": "12086",  # Dade became Miami-Dade in 1997
    "46113": "46102",  # Shannon became Oglala Lakota in 2015
    "51123": "51800",  # Nansemond joined Suffolk in 1974
    "51515": "51019",  # Bedford city joined Bedford County in 2013
    "51560": "51005",  # Clifton Forge joined Alleghany County in 2001
    "51780": "51083",  # South Boston joined Halifax County in 1995
}


def county_today_sql(code: str) -> str:
    """Return SQL for the county of today that the code `code` means."""
    changes = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in COUNTY_CHANGES.items())
    return f"CASE {code} {changes} ELSE {code} END"
