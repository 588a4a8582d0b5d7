"""What the family `time_to_crime` asks."""

from __future__ import annotations

from typing import Final

from features.domain.asof import D90, Y1, Y3, Y5
from features.engine.measures import Quantile, Sum
from features.reference.legal.short_time_to_crime import DAYS, short_days, short_sql
from features.signals.events.asked import Asked, Measures

_KNOWN: Final = f"{DAYS} >= 0"

BEHIND: Final = {
    **{f"share_under_{name}_3y": (f"traces.{name}_3y",) for name in ("90d", "1y", "3y")},
    **{
        f"n_under_{name}_{window}": (f"traces.{name}_{window}",)
        for name in ("90d", "1y", "3y")
        for window in ("1y", "3y")
    },
    "median_3y": ("traces.days_p50_3y",),
    "p10_5y": ("traces.tail_p10_5y",),
    "median_change": ("traces.tail_p50_5y",),
}


def limits() -> dict[str, int]:
    """Return the times-to-crime that are told apart, in days."""
    return {"90d": D90.days, "1y": Y1.days, "3y": short_days()}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    return {
        "traces": (
            Sum("known", (Y1, Y3, Y5), _KNOWN),
            *(Sum(name, (Y1, Y3), short_sql(at_most=d)) for name, d in limits().items()),
            Quantile("days", (Y1, Y3), DAYS, where=_KNOWN),
            Quantile("tail", (Y5,), DAYS, levels=(0.1, 0.5), where=_KNOWN),
        )
    }
