"""What the family `ballistics` asks."""

from __future__ import annotations

from typing import Final

from features.domain.asof import Y1, Y3
from features.engine.measures import Distinct, DistinctSum
from features.signals.events.asked import Asked, Measures

BEHIND: Final[dict[str, tuple[str, ...]]] = {}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    return {
        "leads": (
            Distinct("leads", (Y1, Y3), "lead_id"),
            Distinct("firearms", (Y3,), "trace_id"),
            DistinctSum("events", (Y3,), of="lead_id", value="n_linked_events"),
        )
    }
