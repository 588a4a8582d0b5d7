"""The value of a state or county that was in force as of a date, for each dealer.

Rows of the table `area_covariates` are read as they were known before the date. A county's own
value goes before its state's, and of several rows of one area that are in force the one that began
last. Codes of counties of another edition of the federal list are understood as far as both
name the same ground (`features.reference.geography.areas`).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.asof import EVER, day_sql, from_day, in_force_sql
from features.domain.county import AREA_OF
from features.engine.context import LISTED_DAY, Context, Last
from features.engine.views import STATE_CODE
from features.reference.geography.areas import area_sql
from features.signals.signal import NO_EXPOSURE, NO_SOURCE, OBSERVED, Reasons
from features.sources.publishers.listing import STATE_FIPS
from features.sql import literal

Values = npt.NDArray[np.float32]


def covariate(context: Context, name: str) -> tuple[Values, Reasons]:
    """Return a covariate of the area around each dealer, as in force on the as-of date.

    Parameters
    ----------
    context : Context
    name : str
        As it stands in the column `name` of the table `area_covariates`.

    Returns
    -------
    values : ndarray of float32, shape (n_rows,)
        NaN where nothing is in force.
    reasons : ndarray of int8, shape (n_rows,)
        `NO_SOURCE` while nothing of that name is known of any area, `NO_EXPOSURE` where the
        dealer's area, or the dealer's place, has no value.
    """
    values = np.full(context.n_rows, np.nan, dtype=np.float32)
    reasons = np.full(context.n_rows, NO_SOURCE, dtype=np.int8)
    if not (context.has("area_covariates") and context.has("licenses")):
        return values, reasons
    places = context.once("covariate_places", lambda: _places(context), is_of_listings=True)
    for index, day in enumerate(context.cohort.as_of):
        known = _known(context, name, from_day(int(day)))
        if known is None:
            continue
        rows = context.cohort.date_index == index
        found = np.full(int(rows.sum()), np.nan)
        for codes, by_code in zip(places, known, strict=True):  # the nearest place goes first
            found = np.where(np.isnan(found), _looked_up(codes[rows], by_code), found)
        values[rows] = found
        reasons[rows] = np.where(np.isnan(found), NO_EXPOSURE, OBSERVED)
    return values, reasons


def _places(context: Context) -> tuple[npt.NDArray[np.int64], ...]:
    """Codes of each row's county, of the area it lies in, and of its state; -1 where unknown."""
    states = " ".join(
        f"WHEN {ord(short[0]) * 128 + ord(short[1])} THEN {int(fips)}"
        for short, fips in STATE_FIPS.items()
    )
    columns = {
        "county": "county_fips::INTEGER",
        "area": f"({area_sql('county_fips', 'premises_zip')})::INTEGER",
        "state": f"CASE {STATE_CODE} {states} END",
    }
    newest = context.grids("licenses", [Last("place", EVER, columns, by=LISTED_DAY)])
    return tuple(
        np.where(np.isnan(code), -1, code).astype(np.int64)
        for code in (newest[f"place_{column}"] for column in columns)
    )


def _known(context: Context, name: str, when: date) -> tuple[pd.Series, ...] | None:
    """Values in force on a date by county, by area and by state; None when the name is unknown."""
    day = day_sql(when)
    rows = context.query(
        f"""
        SELECT area, value, "from" <= {day} AND coalesce("to", {day}) >= {day} AS is_in_force
        FROM area_covariates WHERE name = {literal(name)} AND {in_force_sql(day)}
        ORDER BY area, "from"
        """
    ).to_pandas()
    if rows.empty:
        return None
    newest = rows[rows["is_in_force"]].groupby("area").tail(1)
    newest = newest.set_index("area")["value"].astype(float)
    is_state = newest.index.str.len() == 2
    counties, states = newest[~is_state], newest[is_state]
    # Counties of one area that differ do not say what holds in it.
    areas = counties.groupby(counties.index.map(lambda code: AREA_OF.get(code, code)))
    agreed = areas.first()[areas.nunique() == 1]
    return counties, agreed, states


def _looked_up(codes: npt.NDArray[np.int64], by_code: pd.Series) -> npt.NDArray[np.float64]:
    if by_code.empty:
        return np.full(len(codes), np.nan)
    known = by_code.rename(index=int)
    return known.reindex(codes).to_numpy(np.float64)
