"""The dealers to describe as of a date: those on the newest listing of their state.

A day counts as a listing of a state when at least `LISTING_SHARE` of the dealers whose newest row
is in the state are on it; rows that inspection records bring are no listing. A dealer counts where
its newest row says it is, so that one who moved is counted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Ints
from features.domain.asof import EVER, NEVER, day_sql, known_sql, number_sql, to_days
from features.engine.context import LISTED_DAY, Cohort, Context, Last
from features.engine.embedded import EmbeddedEngine
from features.engine.views import STATE_CODE
from features.errors import AsOfError
from features.warehouse import Warehouse

LISTING_SHARE: Final = 0.1
INSPECTION_RECORDS: Final = "inspection records"  # the layout's name in the manifest
_STATES: Final = 128**2  # more than any state code


def population(engine: EmbeddedEngine, dates: Sequence[date]) -> Cohort:
    """Return the dealers listed as of each date.

    Parameters
    ----------
    engine : EmbeddedEngine or compatible
    dates : sequence of date, ascending

    Raises
    ------
    AsOfError
        When nobody is listed as of one of the dates.
    """
    as_of = to_days(dates)
    found = engine.query(
        f"SELECT DISTINCT dealer FROM licenses WHERE {_is_listing(engine)} "
        f"AND {known_sql(day_sql(int(as_of[-1])))} ORDER BY dealer"
    )
    dealers = found["dealer"].to_numpy()
    is_listed = np.zeros((len(dates), len(dealers)), dtype=bool)
    if len(dealers):
        state, listed = _standing(engine, as_of, dealers)
        for j, newest in enumerate(_newest_listings(engine, as_of, state)):
            here = state[j]
            is_listed[j] = (here >= 0) & (listed[j] >= newest[here])
    empty = [when for when, row in zip(dates, is_listed, strict=True) if not row.any()]
    if empty:
        raise AsOfError(f"No dealer is listed as of {empty[0]}.", expected=_first_listing(engine))
    is_used = is_listed.any(axis=0)
    date_index, dealer = np.nonzero(is_listed[:, is_used])
    return Cohort(
        dealers[is_used].astype(object), as_of, dealer.astype(np.int32), date_index.astype(np.int32)
    )


def first_listing(warehouse: Warehouse) -> date | None:
    """Return the day on which the first listing was known; None where there is none."""
    rows = warehouse.read("licenses", columns=["known_on", "source_id"])
    others = pa.array(_not_listings(warehouse), type=rows.schema.field("source_id").type)
    listed = rows.filter(pc.invert(pc.is_in(rows["source_id"], value_set=others)))
    first: date | None = pc.min(listed["known_on"]).as_py()
    return first


def _standing(
    engine: EmbeddedEngine, as_of: npt.NDArray[np.int32], dealers: npt.NDArray[Any]
) -> tuple[Ints, Ints]:
    """State and day of each dealer's newest listing, -1 where none; shapes (n_dates, n_dealers)."""
    n_dates, n_dealers = len(as_of), len(dealers)
    everyone = Cohort(
        dealers.astype(object),
        as_of,
        np.tile(np.arange(n_dealers, dtype=np.int32), n_dates),
        np.repeat(np.arange(n_dates, dtype=np.int32), n_dealers),
    )
    columns = {"state": STATE_CODE, "on": LISTED_DAY}
    newest = Last("l", EVER, columns, where=_is_listing(engine), by=LISTED_DAY)
    grids = Context(everyone, engine).grids("licenses", [newest])
    state, listed = (
        np.nan_to_num(grids[name], nan=-1).astype(np.int64).reshape(n_dates, n_dealers)
        for name in ("l_state", "l_on")
    )
    return state, listed


def _newest_listings(
    engine: EmbeddedEngine, as_of: npt.NDArray[np.int32], state: Ints
) -> list[Ints]:
    """Day of the newest listing of each state code, as of each date; never where none counts."""
    table: pa.Table = engine.query(
        f"""
        SELECT {STATE_CODE} AS state, {LISTED_DAY} AS listed,
               {number_sql("known_on")} AS known,
               coalesce({number_sql("superseded_on")}, {NEVER}) AS superseded, count(*) AS n
        FROM licenses WHERE {_is_listing(engine)} GROUP BY ALL ORDER BY ALL
        """
    )
    place, listed, known, superseded, n = (
        table[name].to_numpy().astype(np.int64) for name in table.column_names
    )
    day, day_code = np.unique(listed, return_inverse=True)
    out = []
    for j, when in enumerate(as_of):
        size = np.bincount(state[j][state[j] >= 0], minlength=_STATES)
        is_seen = (known < when) & (superseded >= when)
        key = place[is_seen] * len(day) + day_code[is_seen]
        keys, at = np.unique(key, return_inverse=True)
        on_day = np.bincount(at, weights=n[is_seen])
        counts = on_day >= LISTING_SHARE * size[keys // len(day)]
        newest = np.full(_STATES, int(NEVER), dtype=np.int64)
        # Keys ascend, so the last of a state is its newest day.
        newest[keys[counts] // len(day)] = day[keys[counts] % len(day)]
        out.append(newest)
    return out


def _is_listing(engine: EmbeddedEngine) -> str:
    """Return the SQL condition that a row of `licenses` stands in a listing."""
    others = [str(source) for source in _not_listings(engine.warehouse)]
    return f"source_id NOT IN ({', '.join(others)})" if others else "TRUE"


def _not_listings(warehouse: Warehouse) -> list[int]:
    """Return the sources whose rows of `licenses` stand in no listing."""
    return [
        int(source["id"])
        for source in warehouse.manifest["sources"]
        if source["layout"] == INSPECTION_RECORDS
    ]


def _first_listing(engine: EmbeddedEngine) -> str:
    first = first_listing(engine.warehouse)
    if first is None:
        return "a warehouse that holds a license listing"
    return f"a date after {first}, when the first listing was known"
