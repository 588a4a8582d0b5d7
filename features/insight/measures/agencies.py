"""Completeness of Mexican submission by the agency that submits."""

from __future__ import annotations

from typing import Final

import numpy as np

from features.domain.asof import day_sql, in_force_sql, to_day
from features.engine.embedded import EmbeddedEngine
from features.insight.completeness import cells_sql
from features.insight.measures.figures import Period
from features.insight.measures.measure import Part
from features.signals.shared import coverage
from features.warehouse import Warehouse

_Z: Final = 1.959964


def by_agency(warehouse: Warehouse, period: Period) -> tuple[Part, ...]:
    """Return what each agency submitted of full submission, the agency with most requests first.

    Held against all that the agencies of its states would submit together in the settled quarters
    in which it submitted: of two agencies that share a state neither reaches the whole. The 95%
    interval is of counting, and of what full submission would be.
    """
    day = to_day(period.ends_on)
    with EmbeddedEngine(warehouse) as engine:
        if not engine.has("traces"):
            return ()
        cells = engine.query(cells_sql(in_force_sql(day_sql(period.ends_on)))).to_pandas()
        told = coverage.estimate(
            engine.query(coverage.requests_sql(day)).to_pandas(),
            engine.query(coverage.AGENCIES_SQL).to_pandas(),
            day,
        )
    s = np.array([told.states.index(state) for state in cells["state"]], dtype=np.int64)
    year, q = cells["quarter"] // 4, cells["quarter"].to_numpy(np.int64) - told.first
    is_inside = (year >= period.starts_on.year) & (year < period.ends_on.year)
    is_inside &= told.is_settled[q] & np.isin(told.basis, ("measured", "pooled"))[s]
    full = told.expected[s, q]
    is_inside &= np.isfinite(full) & (full > 0)
    found = cells.assign(full=full, wide=full * told.spread[s])[is_inside]
    sums = found.groupby("requester", as_index=False)[["n", "full", "wide"]].sum()
    sums = sums.sort_values(["n", "requester"], ascending=[False, True])
    parts = []
    for one in sums.itertuples(index=False):
        n, of = float(one.n), float(one.full)
        # What full submission would be is told for a state at once: its quarters err together.
        factor = float(np.exp(_Z * np.sqrt(1 / n + (one.wide / of) ** 2)))
        share = n / of
        parts.append(Part(str(one.requester), n, of, share, share / factor, share * factor))
    return tuple(parts)
