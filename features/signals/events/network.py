"""What the family `network` asks of a dealer's own events; what it reads of others stands there."""

from __future__ import annotations

from typing import Final

from features.domain.asof import Y2, Y5
from features.engine.measures import Distinct, Sum
from features.signals.events.asked import Asked, Measures

_CELL: Final = "hash(coalesce(manufacturer, ''), recovery_country, coalesce(recovery_state, ''))"
# The purchasers by whom a dealer is joined to others, in its own records.
_TOKENS: Final = ("traces.tokened_2y", "multiple_sales.tokened_2y")

BEHIND: Final = {
    "degree_2y": _TOKENS,
    "shared_purchasers_2y": _TOKENS,
    "component_2y": _TOKENS,
    "share_shared_2y": ("traces.tokened_2y",),
    "flow_concentration_5y": ("traces.n_5y",),
}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    tokened = Sum("tokened", (Y2,), "purchaser_token IS NOT NULL")
    return {
        "traces": (tokened, Sum("n", (Y5,)), Distinct("cells", (Y5,), _CELL)),
        "multiple_sales": (tokened,),
    }
