"""Family `time_to_crime`: how soon firearms sold by the dealer turn up.

Time-to-crime is the days from the first retail sale to the recovery. A short one suggests a
purchase made for someone else or for resale; it is known only for traces that reached the sale.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.arrays import Floats
from features.engine.context import Context
from features.signals.events import time_to_crime as events
from features.signals.events.asked import Asked
from features.signals.shared.groups import by_date
from features.signals.shared.shrinkage import shrink
from features.signals.signal import (
    NO_EXPOSURE,
    OBSERVED,
    TOO_FEW,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
    signals_of,
)

_MIN = 5  # traces below which a quantile is null
_REFERENCE = "ATF, National Firearms Commerce and Trafficking Assessment, volume II"
_signal = signals_of(
    "time_to_crime",
    direction=1,
    reference=_REFERENCE,
    restriction="restricted",
    table="traces",
    unit="share",
    window="3y",
)

SIGNALS: Final[tuple[Signal, ...]] = (
    *(
        _signal(
            f"share_under_{suffix}_3y",
            f"Share of the traces of three years with a known time-to-crime that took {words} or "
            "less, shrunk to dealers of the same license type and state; null without one.",
            f"{{value}} of traced firearms turned up within {words}",
        )
        for suffix, words in (("90d", "90 days"), ("1y", "one year"), ("3y", "three years"))
    ),
    *(
        _signal(
            f"n_under_{suffix}_{window}",
            f"Traces with a time-to-crime of {words} or less, over {over}.",
            f"{{value}} firearms recovered within {words} of their sale, in {over}",
            unit="firearms",
            window=window,
        )
        for suffix, words in (("90d", "90 days"), ("1y", "one year"), ("3y", "three years"))
        for window, over in (("1y", "a year"), ("3y", "three years"))
        if (suffix, window) != ("1y", "3y")
    ),
    _signal(
        "median_3y",
        f"Median time-to-crime of the traces of three years; null below {_MIN}.",
        "Half of its traced firearms turned up within {value} days",
        unit="days",
        direction=-1,
    ),
    _signal(
        "p10_5y",
        f"10th percentile of time-to-crime over five years; null below {_MIN}.",
        "A tenth of its traced firearms turned up within {value} days",
        unit="days",
        direction=-1,
        window="5y",
    ),
    _signal(
        "median_change",
        "Median time-to-crime of the last year less that of five years, less the median of that "
        f"difference over the dealers of the state; null below {_MIN} traces in the year.",
        "Median time-to-crime moved by {value} days against its state",
        unit="days",
        direction=-1,
        window="1y",
    ),
)


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    if not context.has("traces"):
        return no_source(SIGNALS, context.n_rows)
    g = context.grids("traces", events.measures(Asked(tuple(context.cohort.dates)))["traces"])
    values: dict[str, Floats] = {}
    reasons: dict[str, Reasons] = {}
    for name in events.limits():
        values[f"share_under_{name}_3y"], reasons[f"share_under_{name}_3y"] = shrink(
            g[f"{name}_3y"],
            g["known_3y"],
            peers=context.peers,
            date_index=context.cohort.date_index,
        )
        for window in ("1y", "3y"):
            values[f"n_under_{name}_{window}"] = g[f"{name}_{window}"]
    change = g["days_p50_1y"].astype(np.float64) - g["tail_p50_5y"]
    for name, value, n in (
        ("median_3y", g["days_p50_3y"], g["known_3y"]),
        ("p10_5y", g["tail_p10_5y"], g["known_5y"]),
        ("median_change", change, g["known_1y"]),
    ):
        is_enough = n >= _MIN
        values[name] = np.where(is_enough, value, np.nan)
        why = np.where(n > 0, TOO_FEW, NO_EXPOSURE)
        reasons[name] = np.where(is_enough, OBSERVED, why).astype(np.int8)
    values["median_change"] = _against_state(context, values["median_change"])
    wanted = {s.name.removeprefix("time_to_crime_") for s in SIGNALS}
    return FamilyColumns(
        {f"time_to_crime_{k}": v for k, v in values.items() if k in wanted},
        {f"time_to_crime_{k}": v for k, v in reasons.items()},
    )


def _against_state(context: Context, change: Floats) -> Floats:
    """`change` less its median over the dealers of the row's state and date."""
    is_known = ~np.isnan(change)
    known = change[is_known]
    group, _ = by_date(context.peer_states[is_known], context.cohort.date_index[is_known])
    ranked = known[np.lexsort((known, group))]
    size = np.bincount(group)
    first = np.cumsum(size) - size
    median = np.zeros(len(size))
    has = size > 0
    low, high = first + (size - 1) // 2, first + size // 2
    median[has] = (ranked[low[has]] + ranked[high[has]]) / 2
    out = change.copy()
    out[is_known] = known - median[group]
    return out
