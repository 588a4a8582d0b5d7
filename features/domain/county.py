"""County codes that listings and license numbers still carry, and the county of today.

A license number keeps the county code it was issued with, so that codes of counties that were
renamed or joined to another stay in listings for decades. Only changes with one successor stand
here; a code that no county ever had is a slip of the pen and means no county.

`COUNTY_CHANGES` is what a code is stored as. `AREA_OF` is the area that figures are given for: two
editions of the federal list divide Connecticut and a part of Alaska differently, the tables of
reference follow one or the other, and dealers of one street must fall into one area whichever
edition their listing follows. It is the coarser one, into which both fit;
`features.reference.geography.areas` settles where a planning region lies in two counties.

References
----------
U.S. Census Bureau, Substantial Changes to Counties and County Equivalent Entities: 1970-Present.
"""

from __future__ import annotations

from typing import Final

COUNTY_CHANGES: Final = {
    "02140": "02188",  # Kobuk became the Northwest Arctic Borough in 1986
    "02201": "02198",  # Prince of Wales-Outer Ketchikan lost its outer part in 2008
    "02270": "02158",  # Wade Hampton became Kusilvak in 2015
    "11000": "11001",  # the District of Columbia has one county, 001
    "12025": "12086",  # Dade became Miami-Dade in 1997
    "29193": "29186",  # Sainte Genevieve was given another code in 1979
    "46113": "46102",  # Shannon became Oglala Lakota in 2015
    "46131": "46071",  # Washabaugh joined Jackson County in 1983
    "51123": "51800",  # Nansemond joined Suffolk in 1974
    "51129": "51550",  # Norfolk County became Chesapeake in 1963
    "51154": "51810",  # Princess Anne joined Virginia Beach in 1963
    "51515": "51019",  # Bedford city joined Bedford County in 2013
    "51560": "51005",  # Clifton Forge joined Alleghany County in 2001
    "51780": "51083",  # South Boston joined Halifax County in 1995
}

# The old county that holds most of each planning region of Connecticut (in force since 2022).
CONNECTICUT: Final = {
    "09110": "09003",  # Capitol: Hartford, the rest in Tolland
    "09120": "09001",  # Greater Bridgeport: Fairfield
    "09130": "09007",  # Lower Connecticut River Valley: Middlesex
    "09140": "09009",  # Naugatuck Valley: New Haven, the rest in Litchfield
    "09150": "09015",  # Northeastern: Windham
    "09160": "09005",  # Northwest Hills: Litchfield
    "09170": "09009",  # South Central: New Haven
    "09180": "09011",  # Southeastern: New London
    "09190": "09001",  # Western: Fairfield
}
AREA_OF: Final = {
    **COUNTY_CHANGES,
    **CONNECTICUT,
    "02063": "02261",  # Chugach and Copper River were Valdez-Cordova until 2019
    "02066": "02261",
}


def county_today_sql(code: str) -> str:
    """Return SQL for the county of today that the code `code` means."""
    changes = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in COUNTY_CHANGES.items())
    return f"CASE {code} {changes} ELSE {code} END"
