"""What the family `losses` asks."""

from __future__ import annotations

from datetime import date
from typing import Final

from features.domain.asof import Y1, Y3, Y5
from features.engine.measures import Sum
from features.reference.legal.law import is_in_force, law
from features.signals.events.asked import CHECKS, CHECKS_BEHIND, Asked, Measures

KINDS: Final = ("burglary", "robbery", "larceny", "loss")

BEHIND: Final = {
    "per_1000_sales_3y": ("thefts_losses.firearms_3y", CHECKS_BEHIND),
    "unexplained_share_5y": ("thefts_losses.lost_firearms_5y",),
}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    return {
        "thefts_losses": (
            Sum("reports", (Y1,)),
            *(Sum(kind, (Y5,), f"kind = '{kind}'") for kind in KINDS),
            Sum("firearms", (Y3, Y5), value="n_firearms"),
            Sum("lost_firearms", (Y5,), "kind = 'loss'", value="n_firearms"),
            Sum("late", (Y5,), _late(asked.dates[-1])),
        ),
        "sales_volume": (CHECKS,),
    }


def _late(on: date) -> str:
    """Return the condition of a report made after the hours that the law gives, if it gives any."""
    if not is_in_force("theft_report_hours", on):
        return "FALSE"
    days = int(law("theft_report_hours", on)) // 24
    return f"reported_on - discovered_on > {days}"
