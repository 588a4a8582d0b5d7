"""What the family `tips` asks."""

from __future__ import annotations

from typing import Final

from features.domain.asof import Y1, Y3
from features.engine.measures import Sum
from features.signals.events.asked import Asked, Measures

BEHIND: Final[dict[str, tuple[str, ...]]] = {}

_OTHERS: Final = "NOT is_self_report"
_AGENCY: Final = f"{_OTHERS} AND source = 'agency' AND coalesce(is_substantiated, TRUE)"


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    return {
        "tips": (
            Sum("substantiated", (Y1, Y3), f"{_OTHERS} AND is_substantiated"),
            Sum("agency", (Y3,), _AGENCY),
            Sum("self_reports", (Y3,), "is_self_report"),
        )
    }
