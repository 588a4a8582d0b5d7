"""Family `ballistics`: shootings that a ballistic image joins to firearms the dealer sold."""

from __future__ import annotations

from typing import Final

from features.engine.context import Context
from features.signals.events import ballistics as events
from features.signals.events.asked import Asked
from features.signals.signal import FamilyColumns, Signal, no_source, signals_of

_NIBIN = "ATF, National Integrated Ballistic Information Network"
_signal = signals_of(
    "ballistics", direction=1, reference=_NIBIN, restriction="restricted", table="ballistic_leads"
)

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal("leads_1y", "Ballistic leads on firearms the dealer sold, each once, over a year.",
            "{value} ballistic leads on firearms it sold in a year", unit="leads", window="1y"),
    _signal("leads_3y", "Ballistic leads on firearms the dealer sold, each once, over three years.",
            "{value} ballistic leads on firearms it sold in three years", unit="leads",
            window="3y"),
    _signal("firearms_3y", "Distinct firearms with a ballistic lead, in three years.",
            "{value} firearms it sold have a ballistic lead", unit="firearms", window="3y"),
    _signal("events_3y", "Shootings linked by the leads of three years, once a lead.",
            "{value} shootings linked to firearms it sold", unit="events", window="3y"),
)  # fmt: skip


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    if not context.has("leads"):
        return no_source(SIGNALS, context.n_rows)
    g = context.grids("leads", events.measures(Asked(tuple(context.cohort.dates)))["leads"])
    return FamilyColumns({s.name: g[s.name.removeprefix("ballistics_")] for s in SIGNALS}, {})
