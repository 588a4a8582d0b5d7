"""The family `time_to_crime` from its definitions."""

from __future__ import annotations

import numpy as np

from tests.oracles.events import (
    counts,
    gap_days,
    of_each,
    peers,
    shrunk,
    standing,
    table_of,
    within,
)


def oracle(tables, as_of, dealers):
    traces = standing(tables, "traces", as_of).copy()
    traces["days"] = gap_days(traces["recovered_on"], traces["sold_on"])
    known = traces[traces["days"] >= 0]
    group = peers(tables, as_of, dealers)
    in_three = counts(within(known, as_of, "3y"), dealers)
    out = {}
    for name, limit in (("90d", 90), ("1y", 365), ("3y", 1095)):
        short = known[known["days"] <= limit]
        for window in ("1y", "3y"):
            out[f"n_under_{name}_{window}"] = counts(within(short, as_of, window), dealers)
        out[f"share_under_{name}_3y"] = shrunk(out[f"n_under_{name}_3y"], in_three, group)
    del out["n_under_1y_3y"]  # no such signal
    out["median_3y"] = _quantile(known, as_of, dealers, "3y", 0.5)
    out["p10_5y"] = _quantile(known, as_of, dealers, "5y", 0.1)
    change = _quantile(known, as_of, dealers, "1y", 0.5) - _quantile(
        known, as_of, dealers, "5y", 0.5, at_least=1
    )
    state = [None if g is None else g[1] for g in group]
    out["median_change"] = np.array(
        [
            mine
            - np.nanmedian([c for c, other in zip(change, state, strict=True) if other == here])
            if not np.isnan(mine)
            else np.nan
            for mine, here in zip(change, state, strict=True)
        ]
    )
    return table_of(dealers, "time_to_crime", out)


def _quantile(known, as_of, dealers, window, level, at_least=5):
    rows = within(known, as_of, window)
    out = []
    for mine in of_each(rows[["dealer", "days"]], dealers):
        days = mine["days"].to_numpy(float)
        out.append(np.quantile(days, level) if len(days) >= at_least else np.nan)
    return np.array(out)
