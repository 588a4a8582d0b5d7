"""What the family `volume` asks."""

from __future__ import annotations

from typing import Final

from features.domain.asof import Y1, Y3
from features.engine.measures import Sum
from features.signals.events.asked import Asked, Measures

BEHIND: Final = {
    "growth_1y": ("sales_volume.sales_3y",),
    "county_share_1y": ("sales_volume.sales_1y",),
    "denied_1y": ("denials.n_1y",),
    "denied_share_3y": ("denials.n_3y", "sales_volume.sales_3y"),
}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    return {
        "sales_volume": (Sum("sales", (Y1, Y3), value="n_checks"),),
        "denials": (Sum("n", (Y1, Y3), value="n_denied"),),
    }
