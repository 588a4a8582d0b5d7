"""Counties, ZIP codes, states, the office that inspects each county, and where a dealer stands.

Listings write a county as three digits within the state, sometimes by a code that is no longer
(or never was) in the federal list. Where a listing has no coordinates, the point is that of the
premises' ZIP code, else the county's centroid.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.reference.files import DATA, read_table
from features.reference.geography.areas import area_of
from features.reference.geography.border_distances import earth_centered
from features.reference.series import latest_year, publication

_CENSUS: Final = date(2020, 4, 1)
MEXICO_BORDER_STATES: Final = ("AZ", "CA", "NM", "TX")

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

# A division seen for less than this share of a state's visits came from elsewhere to help.
MIN_DIVISION_SHARE: Final = 0.05


@lru_cache(maxsize=1)
def states() -> pd.DataFrame:
    """States and territories: ``state`` (USPS), ``state_fips``, ``name``, ``mx_border_state``."""
    table = pd.read_csv(DATA / "states.csv", dtype={"state_fips": str})
    return table[["state", "state_fips", "name", "mx_border_state"]]


@lru_cache(maxsize=1)
def counties() -> pd.DataFrame:
    """Counties, indexed by ``county_fips``.

    Returns
    -------
    DataFrame
        ``state``, ``county_name``, ``lat``, ``lon`` (centroid, degrees), ``area_km2`` (land and
        inland water, geodesic), ``rucc`` (1 most urban to 9 most rural) and ``nchs`` (1 to 6),
        which are editions of 2023 (`urban_rural`). Connecticut has both its old counties and its
        planning regions of 2022, an old county the codes of the region that holds most of it.
    """
    return read_table("counties").set_index("county_fips")


@lru_cache(maxsize=1)
def zip_places() -> pd.DataFrame:
    """ZIP codes, indexed by ``zip``: ``state``, ``city``, ``lat``, ``lon``, main ``county_fips``.

    ``county_share`` is the share of addresses in that county; ``latlon_source`` is ``geonames``
    where GeoNames (CC BY 4.0) gave the point.
    """
    return read_table("zip_places").set_index("zip")


def county_population(as_of: date) -> pd.Series:
    """People in each area by the newest estimate public before `as_of`.

    Counties that are one area (`features.reference.geography.areas`) are counted together, so
    that an area has people whichever edition of the federal list the estimate follows.

    Returns
    -------
    Series of float
        Indexed by the county code of the area; empty when no estimate was public yet.
    """
    return _population_of(latest_year("county_population", as_of))


@lru_cache(maxsize=32)
def _population_of(year: int | None) -> pd.Series:
    table = read_table("county_population")
    rows = table[table["year"] == (year if year is not None else -1)]
    people = rows["population"].astype("float64")
    return people.groupby(area_of(rows["county_fips"])).sum()


@lru_cache(maxsize=1)
def offices() -> pd.DataFrame:
    """Offices of industry operations seen in inspection reports, indexed by ``office``.

    Returns
    -------
    DataFrame
        ``division``, ``field_division`` (name), ``n_inspections``, and ``lat``, ``lon``: the mean
        of the counties it was seen in weighted by visits: the middle of its visits, which may be
        open country or sea, and no place to start from (`office_seats` is).
    """
    seen = _observed().merge(counties()[["lat", "lon"]], left_on="county_fips", right_index=True)
    weight = seen["n_inspections"].astype("float64")
    seen = seen.assign(lat=seen["lat"] * weight, lon=seen["lon"] * weight)
    table = seen.groupby(["office", "division"], as_index=False)[
        ["n_inspections", "lat", "lon"]
    ].sum()
    for name in ("lat", "lon"):
        table[name] = table[name] / table["n_inspections"]
    names = pd.read_csv(DATA / "divisions.csv", dtype=str)
    return table.merge(names, on="division").set_index("office").sort_index()


@lru_cache(maxsize=1)
def office_seats() -> pd.DataFrame:
    """Counties that stand for offices whose address is not known, indexed by ``office``.

    Returns
    -------
    DataFrame
        ``county_fips``, ``county_name``, ``state``, ``lat``, ``lon``: of the county of the office's
        area where most people live.
    """
    areas = county_office()[["county_fips", "office"]]
    people = county_population(_CENSUS).reindex(areas["county_fips"]).fillna(0.0)
    first = areas.assign(people=people.to_numpy())
    first = first.sort_values("people", ascending=False, kind="stable").drop_duplicates("office")
    where = counties()[["county_name", "state", "lat", "lon"]]
    first = first.drop(columns="people").join(where, on="county_fips")
    return first.set_index("office").sort_index()


@lru_cache(maxsize=1)
def county_office() -> pd.DataFrame:
    """Office and division of every county.

    A county seen in inspection reports has the office seen most often. Any other county takes the
    office and division of the nearest seen county of its state, or of the country where none of
    its state was seen, and is marked as filled. Visits by a division that made less than 5% of a
    state's visits are set aside: they came from elsewhere.

    Returns
    -------
    DataFrame
        ``county_fips``, ``office``, ``division``, ``is_filled``, sorted by county.
    """
    seen = _settled()
    everywhere = counties().dropna(subset=["lat", "lon"]).reset_index()
    everywhere = everywhere[["county_fips", "state", "lat", "lon"]]
    everywhere = everywhere.merge(seen, on="county_fips", how="left")
    is_filled = everywhere["office"].isna()
    known = everywhere[~is_filled]
    filled = everywhere[is_filled].copy()
    in_state = filled["state"].isin(known["state"])
    for state, rows in filled[in_state].groupby("state"):
        _fill(filled, rows.index, known[known["state"] == state])
    _fill(filled, filled.index[~in_state], known)
    table = pd.concat([known.assign(is_filled=False), filled.assign(is_filled=True)])
    columns = ["county_fips", "office", "division", "is_filled"]
    return table[columns].sort_values("county_fips", ignore_index=True)


def urban_rural(as_of: date) -> pd.DataFrame:
    """Urban-rural codes of counties public before `as_of`: ``rucc``, ``nchs``; else empty."""
    if as_of <= publication("rural_urban_codes")["first_known_on"]:
        return counties()[["rucc", "nchs"]].iloc[:0]
    return counties()[["rucc", "nchs"]]


def _observed() -> pd.DataFrame:
    return pd.read_csv(
        DATA / "county_office_observed.csv",
        dtype={"county_fips": str, "office": str, "division": str},
    )


def _settled() -> pd.DataFrame:
    """One office a county, visitors from other divisions set aside."""
    seen = _observed().merge(counties()[["state"]], left_on="county_fips", right_index=True)
    of_state = seen.groupby("state")["n_inspections"].transform("sum")
    of_division = seen.groupby(["state", "division"])["n_inspections"].transform("sum")
    seen = seen[of_division >= MIN_DIVISION_SHARE * of_state]
    order = ["county_fips", "n_inspections", "office"]
    seen = seen.sort_values(order, ascending=[True, False, True])
    return seen.drop_duplicates("county_fips")[["county_fips", "office", "division"]]


def _fill(filled: pd.DataFrame, rows: pd.Index, known: pd.DataFrame) -> None:
    nearest = _nearest(filled.loc[rows], known)
    for name in ("office", "division"):
        filled.loc[rows, name] = known[name].to_numpy()[nearest]


def _nearest(points: pd.DataFrame, targets: pd.DataFrame) -> npt.NDArray[np.intp]:
    from scipy.spatial import cKDTree

    tree = cKDTree(earth_centered(targets["lat"].to_numpy(), targets["lon"].to_numpy()))
    found = tree.query(earth_centered(points["lat"].to_numpy(), points["lon"].to_numpy()))[1]
    return np.asarray(found, dtype=np.intp)
