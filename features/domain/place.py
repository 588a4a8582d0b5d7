"""Places of dealers: codes of states and counties, and the point where a dealer stands.

Listings write a county as three digits within the state, sometimes by a code that is no longer
(or never was) in the federal list. Where a listing has no coordinates, the point is that of the
premises' ZIP code, else the county's centroid.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from features.domain.county import COUNTY_CHANGES
from features.reference.places import counties, states, zip_places

MEXICO_BORDER_STATES: Final = ("AZ", "CA", "NM", "TX")

# Countries as signals group recoveries (ISO 3166-1 alpha-2).
MEXICO: Final = "MX"
CANADA: Final = "CA"
UNITED_STATES: Final = "US"
LATIN_AMERICA: Final = frozenset(
    {  # Mexico and Canada stand apart
        "AG",
        "AR",
        "BB",
        "BO",
        "BR",
        "BS",
        "BZ",
        "CL",
        "CO",
        "CR",
        "CU",
        "DM",
        "DO",
        "EC",
        "GD",
        "GT",
        "GY",
        "HN",
        "HT",
        "JM",
        "KN",
        "LC",
        "NI",
        "PA",
        "PE",
        "PY",
        "SR",
        "SV",
        "TT",
        "UY",
        "VC",
        "VE",
    }
)


def zip5(values: pd.Series) -> pd.Series:
    """First five digits of ZIP codes; null where there are not five.

    >>> zip5(pd.Series(["00602-1303", "850041234", "8500"])).tolist()
    ['00602', '85004', nan]
    """
    return values.astype("str").str.extract(r"^\s*(\d{5})(?:-?\d{4})?\s*$", expand=False)


def county_fips(
    state: pd.Series, county: pd.Series, zip_code: pd.Series | None = None
) -> pd.Series:
    """Five-digit county codes from the state and the three-digit code of a listing.

    Parameters
    ----------
    state : Series of str, shape (n,)
        USPS code of the premises.
    county : Series of str, shape (n,)
        Three-digit code of the listing.
    zip_code : Series of str, optional
        ZIP code of the premises: its main county stands in for a code that no county has.

    Returns
    -------
    Series of str, shape (n,)
        Null where neither names a county.

    Examples
    --------
    >>> county_fips(pd.Series(["FL", "TX"]), pd.Series(["025", "141"])).tolist()
    ['12086', '48141']
    """
    fips_of_state = states().set_index("state")["state_fips"]
    code = state.map(fips_of_state).str.cat(county.astype("str").str.zfill(3))
    code = code.replace(COUNTY_CHANGES)
    code = code.where(code.isin(counties().index))
    if zip_code is not None:
        code = code.fillna(zip5(zip_code).map(zip_places()["county_fips"]))
    return code


def locate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the point of each dealer and where it came from.

    Parameters
    ----------
    frame : DataFrame, shape (n, ...)
        ``premises_zip``, ``county_fips`` and, if known, ``latitude`` and ``longitude``.

    Returns
    -------
    DataFrame, shape (n, 3)
        ``lat``, ``lon`` in degrees (NaN where nothing is known) and ``point_source``: ``listing``,
        ``zip``, ``county`` or null. Index of `frame`.
    """
    by_zip = zip_places()[["lat", "lon"]].reindex(zip5(frame["premises_zip"])).to_numpy()
    by_county = counties()[["lat", "lon"]].reindex(frame["county_fips"]).to_numpy()
    listed = np.full_like(by_zip, np.nan)
    if {"latitude", "longitude"} <= set(frame.columns):
        listed = frame[["latitude", "longitude"]].to_numpy(dtype=np.float64, na_value=np.nan)
    point = np.full_like(by_zip, np.nan)
    source = np.full(len(frame), None, dtype=object)
    for name, candidate in (("listing", listed), ("zip", by_zip), ("county", by_county)):
        is_filled = np.isnan(point).any(axis=1) & np.isfinite(candidate).all(axis=1)
        point[is_filled], source[is_filled] = candidate[is_filled], name
    columns = {"lat": point[:, 0], "lon": point[:, 1], "point_source": source}
    return pd.DataFrame(columns, index=frame.index)
