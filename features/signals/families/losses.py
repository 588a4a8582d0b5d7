"""Family `losses`: firearms stolen from the dealer or missing without explanation."""

from __future__ import annotations

from typing import Final

from features.engine.context import Context
from features.signals.events import losses as events
from features.signals.events.asked import Asked
from features.signals.shared.sales_rate import per_1000_sales
from features.signals.signal import FamilyColumns, Signal, no_source, rate, signals_of

_FORM = "ATF Form 3310.11, theft or loss report; 27 CFR 478.39a"
_KINDS = {
    "burglary": ("burglaries", 0),
    "robbery": ("robberies", 0),
    "larceny": ("larcenies", 1),
    "loss": ("unexplained losses", 1),
}
_signal = signals_of(
    "losses",
    direction=1,
    reference=_FORM,
    restriction="restricted",
    table="thefts_losses",
    unit="reports",
)

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal("reports_1y", "Theft and loss reports of a year.", "{value} reports in a year",
            window="1y"),
    *(
        _signal(
            f"{kind}_5y",
            f"Reports of {words} over five years.",
            f"{{value}} reports of {words} in five years",
            window="5y",
            direction=direction,
        )
        for kind, (words, direction) in _KINDS.items()
    ),
    _signal("firearms_3y", "Firearms reported stolen or lost over three years.",
            "{value} firearms reported stolen or lost in three years",
            unit="firearms", window="3y"),
    _signal("lost_firearms_5y", "Firearms reported lost without explanation over five years.",
            "{value} firearms lost without explanation in five years",
            unit="firearms", window="5y", reference="DOJ OIG I-2013-005 (April 2013)"),
    _signal("per_1000_sales_3y",
            "Firearms stolen or lost over background checks of three years, times 1,000, shrunk to "
            "dealers of the same license type and state; null without checks.",
            "{value} firearms stolen or lost for each 1,000 sales",
            unit="per 1,000 sales", window="3y"),
    _signal("unexplained_share_5y",
            "Share of the firearms of five years lost without explanation; null without a report.",
            "{value} of its missing firearms were lost without explanation",
            unit="share", window="5y"),
    _signal("late_5y", "Reports of five years made more than two days after the discovery.",
            "{value} theft or loss reports made late in five years", window="5y"),
)  # fmt: skip


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    if not context.has("thefts_losses"):
        return no_source(SIGNALS, context.n_rows)
    asked = events.measures(Asked(tuple(context.cohort.dates)))
    g = context.grids("thefts_losses", asked["thefts_losses"])
    values = {name: g[name] for name in (s.name.removeprefix("losses_") for s in SIGNALS)
              if name in g}  # fmt: skip
    share, why = rate(g["lost_firearms_5y"], g["firearms_5y"])
    values["unexplained_share_5y"] = share
    reasons = {"unexplained_share_5y": why}
    values["per_1000_sales_3y"], reasons["per_1000_sales_3y"] = per_1000_sales(
        context, g["firearms_3y"]
    )
    return FamilyColumns(
        {f"losses_{k}": v for k, v in values.items()},
        {f"losses_{k}": v for k, v in reasons.items()},
    )
