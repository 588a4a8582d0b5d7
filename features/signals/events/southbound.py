"""What the family `southbound` asks."""

from __future__ import annotations

from typing import Final

from features.domain.asof import Y1, Y3, Y5
from features.engine.measures import Distinct, Sum
from features.reference.legal.short_time_to_crime import short_sql
from features.reference.weapons import is_class_sql
from features.signals.events.asked import CHECKS, CHECKS_BEHIND, Asked, Measures

MEXICO: Final = "recovery_country = 'MX'"

BEHIND: Final = {
    **{f"traces_{window}": (f"traces.mexico_{window}",) for window in ("1y", "3y", "5y")},
    "adjusted_3y": ("traces.mexico_3y",),
    "per_1000_sales_3y": ("traces.mexico_3y", CHECKS_BEHIND),
    "share_3y": ("traces.mexico_3y",),
    "rifle_share_5y": ("traces.rifles_5y",),
    "fifty_caliber_5y": ("traces.fifty_5y",),
    "states_reached_5y": ("traces.states_5y",),
    "corridor_concentration_5y": ("traces.placed_5y",),
    "seizures_3y": ("seizures_known.n_3y",),
}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    return {
        "traces": (
            Sum("mexico", (Y1, Y3, Y5), MEXICO),
            Sum("all", (Y3,)),
            Sum("short", (Y3,), f"{MEXICO} AND {short_sql()}"),
            Sum("rifles", (Y5,), f"{MEXICO} AND is_semiautomatic_rifle"),
            Sum("fifty", (Y5,), f"{MEXICO} AND {is_class_sql('fifty_caliber')}"),
            Sum("placed", (Y5,), f"{MEXICO} AND recovery_state IS NOT NULL"),
            Distinct("states", (Y5,), "recovery_state", where=MEXICO),
        ),
        "seizures_known": (Sum("n", (Y3,)),),
        "sales_volume": (CHECKS,),
    }
