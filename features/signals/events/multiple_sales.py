"""What the family `multiple_sales` asks."""

from __future__ import annotations

from typing import Final

from features.domain.asof import Y1, Y2, Y3
from features.engine.measures import Distinct, Sum
from features.reference.legal.short_time_to_crime import short_sql
from features.signals.events.asked import CHECKS, CHECKS_BEHIND, Asked, Measures

BEHIND: Final = {
    "per_1000_sales_3y": ("multiple_sales.reports_3y", CHECKS_BEHIND),
    "repeat_buyers_2y": ("multiple_sales_buyers.any_repeated_2y",),
    "traced_3y": ("multiple_sales_traced.any_3y",),
    "traced_share_3y": ("multiple_sales_traced.any_3y",),
    "traced_within_1y_3y": ("multiple_sales_traced.soon_3y",),
}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    soon = short_sql(at_most=Y1.days)
    return {
        "multiple_sales": (
            *(Sum(kind, (Y1, Y3), f"kind = '{kind}'") for kind in ("handgun", "rifle")),
            Sum("reports", (Y3,)),
            Sum("firearms", (Y3,), value="n_firearms"),
        ),
        "multiple_sales_traced": (
            Distinct("any", (Y3,), "report_id"),
            Distinct("soon", (Y3,), "report_id", where=soon),
        ),
        "multiple_sales_buyers": (Distinct("any", (Y2,), "purchaser_token"),),
        "sales_volume": (CHECKS,),
    }
