"""Family `tips`: what others report about the dealer, and what it reports itself.

A dealer that reports a suspicious sale cooperates: its own reports are counted apart and never
raise its risk.
"""

from __future__ import annotations

from typing import Final

from features.engine.context import Context
from features.signals.events import tips as events
from features.signals.events.asked import Asked
from features.signals.signal import FamilyColumns, Signal, no_source, signals_of

_OIG = "DOJ OIG I-2013-005 (April 2013): tips among the high-risk indicators"
_signal = signals_of(
    "tips", direction=1, reference=_OIG, restriction="restricted", table="tips", unit="tips"
)

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal("substantiated_1y", "Substantiated tips by others, over a year.",
            "{value} substantiated tips in a year", window="1y"),
    _signal("substantiated_3y", "Substantiated tips by others, over three years.",
            "{value} substantiated tips in three years", window="3y"),
    _signal("agency_3y", "Tips by public agencies, not found unsubstantiated, over three years.",
            "{value} tips by other agencies in three years", window="3y"),
    _signal("self_reports_3y", "Reports by the dealer itself over three years: cooperation.",
            "Reported {value} matters itself in three years", window="3y", direction=-1,
            unit="reports", reference="Industry reporting of suspicious sales as cooperation"),
)  # fmt: skip


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    if not context.has("tips"):
        return no_source(SIGNALS, context.n_rows)
    g = context.grids("tips", events.measures(Asked(tuple(context.cohort.dates)))["tips"])
    return FamilyColumns({s.name: g[s.name.removeprefix("tips_")] for s in SIGNALS}, {})
