"""Weigh labels for the inspections that have not closed yet.

A label is known when its inspection closes, and an inspection that finds much closes late. Among
visits opened lately, those already closed are therefore mostly the clean ones: a model that takes
its level from them, or is judged on them, believes that findings have become rare. From visits old
enough to have closed, the share closed after so many days is known for either outcome; each label
counts for the visits of its outcome that are still open.

References
----------
Lagakos, Barraj and De Gruttola (1988), delays seen only once they end; Chapelle (2014), delayed
feedback; van der Laan and Robins (2003), inverse probability of censoring weights.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.arrays import Floats
from features.domain.asof import DAYS_A_YEAR
from features.warehouse import Warehouse

# The day on which the closing of a visit was first known, whatever was corrected later.
CLOSING: Final = "first_known_on"

# Visits opened so long ago have closed, but for one in a hundred.
SETTLED_DAYS: Final = DAYS_A_YEAR
# Visits so new that fewer of either outcome would be known say nothing yet.
MIN_SHARE: Final = 0.2
# Fewer settled visits of an outcome do not tell how long it takes.
MIN_SETTLED: Final = 20


def first_closings(warehouse: Warehouse) -> pd.Series:
    """Return the day on which the closing of each inspection was first known, by its number.

    None are returned where no inspection was ever corrected.

    The day of the version in force is that of its latest correction: a visit whose hours were set
    right in the spring would seem to have taken until then.
    """
    return _first_known(warehouse, "inspections", ["inspection_id"], told="closed_on")


def first_traced(warehouse: Warehouse, trace_id: pd.Series) -> pd.Series:
    """Return the day on which traces were first known to end at a dealer, by number and dealer.

    A trace of which a detail is corrected years later was made when it was made. None are returned
    where no trace was ever corrected.
    """
    return _first_known(
        warehouse, "traces", ["trace_id", "dealer"], told="dealer", only=pa.array(trace_id)
    )


def _first_known(
    warehouse: Warehouse, table: str, key: list[str], *, told: str, only: pa.Array | None = None
) -> pd.Series:
    """Return the first day on which a version of each key that tells something was in force."""
    entries = warehouse.manifest["tables"].get(table, {"files": []})["files"]
    if not any(entry["n_superseded"] for entry in entries):
        none = pd.DataFrame(columns=[*key, "known_on_min"]).set_index(key)["known_on_min"]
        return none.astype("datetime64[s]")
    names = [*dict.fromkeys([*key, told, "known_on", "superseded_on"])]
    parts = [
        pq.read_table(file, columns=names, partitioning=None) for file in warehouse.files(table)
    ]
    rows = pa.concat_tables(parts)
    if only is not None:
        rows = rows.filter(
            pc.is_in(rows[key[0]], value_set=only.cast(rows.schema.field(key[0]).type))
        )
    was_in_force = pc.fill_null(pc.greater(rows["superseded_on"], rows["known_on"]), True)
    kept = rows.filter(pc.and_(was_in_force, pc.is_valid(rows[told])))
    first = kept.group_by(key).aggregate([("known_on", "min")])
    frame: pd.DataFrame = first.to_pandas(date_as_object=False)
    return frame.set_index(key)["known_on_min"].astype("datetime64[s]")


def delay_weights(visits: pd.DataFrame, known_before: pd.Timestamp) -> Floats:
    """Return how many visits each closed visit stands for, shape (n,).

    Parameters
    ----------
    visits : DataFrame
        ``opened_on``, `CLOSING` and ``y`` (0 or 1) of visits known before that day.
    known_before : Timestamp
        The day the labels were cut at.

    Returns
    -------
    array of shape (n,)
        One for visits long closed, more for newer ones, zero for those so new that `MIN_SHARE`
        of either outcome would not be known. All ones when fewer than `MIN_SETTLED` settled
        visits of an outcome tell how long it takes.

    Examples
    --------
    >>> opened = pd.Timestamp("2022-01-01") + pd.to_timedelta(np.arange(720), unit="D")
    >>> y = (np.arange(720) % 4 == 0).astype(float)
    >>> closed = opened + pd.to_timedelta(np.where(y, 90, 10), unit="D")
    >>> visits = pd.DataFrame({"opened_on": opened, CLOSING: closed, "y": y})
    >>> until = pd.Timestamp("2023-12-31")
    >>> known = visits[visits[CLOSING] < until]
    >>> weight = delay_weights(known, until)
    >>> sorted(set(weight.tolist()))
    [0.0, 1.0]
    """
    delay = (visits[CLOSING] - visits["opened_on"]).dt.days.to_numpy()
    elapsed = (known_before - visits["opened_on"]).dt.days.to_numpy()
    is_severe = visits["y"].to_numpy() > 0
    is_settled = elapsed > SETTLED_DAYS
    shares = np.empty((2, len(visits)))
    for outcome in (0, 1):
        settled = np.sort(delay[is_settled & (is_severe == outcome)])
        if len(settled) < MIN_SETTLED:
            return np.ones(len(visits))
        shares[outcome] = np.searchsorted(settled, elapsed, side="left") / len(settled)
    own = np.where(is_severe, shares[1], shares[0])
    is_told = shares.min(axis=0) >= MIN_SHARE
    return np.where(is_told, 1.0 / np.maximum(own, MIN_SHARE), 0.0)


def told_share(weight: Floats) -> Floats:
    """Return which share of the visits opened with each is known, by its `delay_weights`.

    >>> told_share(np.array([1.0, 2.0, 0.0])).tolist() == [1.0, 0.5, MIN_SHARE]
    True
    """
    return np.where(weight > 0, 1.0 / np.maximum(weight, 1.0), MIN_SHARE)
