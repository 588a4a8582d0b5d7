"""The area that figures of a county are given for, whichever edition of the federal list is used.

Listings write Connecticut by its eight old counties, newer sources by the nine planning regions of
2022; some tables of reference follow the one, some the other. Where a region lies in two counties
the ZIP code tells in which. The counties of 2019 that were one before are one area here.

References
----------
U.S. Census Bureau, Federal Register 87 FR 34235 (6 June 2022), Connecticut planning regions.
Which old county holds a ZIP code: its center in the boundaries of US Atlas 3.0.1 (ISC).
"""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from features.domain.county import AREA_OF, CONNECTICUT
from features.reference.files import DATA
from features.sql import literal


@lru_cache(maxsize=1)
def connecticut_zips() -> pd.Series:
    """Old county of each ZIP code of Connecticut, indexed by ZIP code."""
    table = pd.read_csv(DATA / "connecticut_zips.csv", dtype=str)
    return table.set_index("zip")["county_fips"]


@lru_cache(maxsize=4)
def area_sql(county: str, zip_code: str) -> str:
    """Return SQL for the area of the county code `county` and the ZIP code `zip_code`.

    >>> area_sql("c", "z").startswith("CASE")
    True
    """
    zips = connecticut_zips()
    # The place of a ZIP code in one text is that of its county in the other.
    place = f"nullif(instr({literal(' '.join(zips.index))}, {zip_code}), 0)"
    of_zip = (
        f"CASE WHEN length({zip_code}) = 5 THEN substr({literal(' '.join(zips))}, {place}, 5) END"
    )
    whens = " ".join(
        f"WHEN '{code}' THEN "
        + (f"coalesce({of_zip}, '{area}')" if code in CONNECTICUT else f"'{area}'")
        for code, area in AREA_OF.items()
    )
    return f"CASE {county} {whens} ELSE {county} END"


def area_of(county: pd.Series, zip_code: pd.Series | None = None) -> pd.Series:
    """Return the area of each county code, with the ZIP code where it is known.

    >>> area_of(pd.Series(["09110", "09110", "02063"]), pd.Series(["06066", None, None])).tolist()
    ['09013', '09003', '02261']
    """
    area = county.map(AREA_OF).fillna(county)
    if zip_code is not None:
        is_region = county.isin(list(CONNECTICUT))
        area = area.mask(is_region, zip_code.map(connecticut_zips()).fillna(area))
    return area
