"""Who is judged: the dealers of a table, where they are, and what they are grouped by.

Places serve to hold counties out, to look for unfairness and to compare offices. They are read as
they were known on each as-of date, and none of them is an input of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.domain.asof import add_months
from features.engine.embedded import EmbeddedEngine
from features.reference import counties, county_office
from features.warehouse import Warehouse

# Where each dealer was known to be from which day on. As in a listing of the dealers: a row that
# came late, or corrects an old one, speaks only where none of a later day is known.
_KNOWN: Final = """
SELECT dealer, known_on, license_type, premises_state AS state, county_fips AS county FROM (
    SELECT *, max(listed_on) OVER (PARTITION BY dealer ORDER BY known_on) AS newest
    FROM licenses WHERE coalesce(superseded_on, DATE '9999-12-31') > known_on
)
WHERE listed_on = newest
QUALIFY row_number() OVER (PARTITION BY dealer, known_on ORDER BY license_type, county_fips) = 1
ORDER BY known_on, dealer
"""
UNKNOWN: Final = "unknown"
# Urban-rural continuum codes 1-3 are metropolitan, 4-7 have a town, 8-9 are completely rural.
_RURALITY: Final = ((3, "metropolitan"), (7, "town"), (9, "rural"))


def places(warehouse: Warehouse, rows: pd.DataFrame) -> pd.DataFrame:
    """Return where each dealer was on its as-of date, in the order of `rows`.

    Parameters
    ----------
    rows : DataFrame
        ``dealer`` and ``as_of``.

    Returns
    -------
    DataFrame
        ``license_type``, ``state``, ``county``, ``rurality``, ``office`` and ``division``; text,
        ``unknown`` where nothing was known before the as-of date.
    """
    with EmbeddedEngine(warehouse) as engine:
        listed = engine.query(_KNOWN).to_pandas(date_as_object=False)
    listed["known_on"] = listed["known_on"].astype("datetime64[s]")
    wanted = rows[["dealer", "as_of"]].assign(row=np.arange(len(rows)))
    wanted["as_of"] = wanted["as_of"].astype("datetime64[s]")
    out = pd.merge_asof(
        wanted.sort_values("as_of", kind="stable"),
        listed,
        left_on="as_of",
        right_on="known_on",
        by="dealer",
        allow_exact_matches=False,
    ).sort_values("row", ignore_index=True)
    out["rurality"] = out["county"].map(_rurality())
    offices = county_office().set_index("county_fips")
    for name in ("office", "division"):
        out[name] = out["county"].map(offices[name])
    kept = ["license_type", "state", "county", "rurality", "office", "division"]
    return out[kept].astype(object).fillna(UNKNOWN)


def _rurality() -> pd.Series:
    code = counties()["rucc"].astype("Float64").astype(float)
    edges = [0.0, *(float(top) for top, _ in _RURALITY)]
    named = pd.cut(code, edges, labels=[name for _, name in _RURALITY])
    return pd.Series(named.astype(object), index=code.index)


def as_of_dates(
    first: date, last: date, *, every_months: int, n_dates: int, horizon_months: int
) -> list[date]:
    """Return up to `n_dates` as-of dates, the newest a whole horizon before `last`.

    Examples
    --------
    >>> as_of_dates(date(2020, 1, 1), date(2024, 1, 1), every_months=12, n_dates=2,
    ...             horizon_months=12)
    [datetime.date(2022, 1, 1), datetime.date(2023, 1, 1)]
    """
    newest = add_months(last, -horizon_months).replace(day=1)
    dates = [add_months(newest, -every_months * i) for i in range(n_dates)]
    return sorted(d for d in dates if d >= first)


def require_types(rows: pd.DataFrame, types: Sequence[str]) -> np.ndarray:
    """Return which rows are of the license types a recipe is about; all when it names none."""
    if not types:
        return np.ones(len(rows), dtype=bool)
    return np.asarray(rows["license_type"].isin(set(types)), dtype=bool)
