"""The explicit, ordered list of every signal that ships, and after them an agency's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from features.engine.context import Context
from features.signals.families import (
    area,
    ballistics,
    border,
    losses,
    multiple_sales,
    network,
    southbound,
    time_to_crime,
    tips,
    traces,
    violations,
    volume,
)
from features.signals.families import license as license_family
from features.signals.own.families import own_families, require_free
from features.signals.signal import FamilyColumns, Signal


class Family(Protocol):
    """What a family module offers."""

    @property
    def SIGNALS(self) -> tuple[Signal, ...]:  # noqa: N802 - a constant of a module
        """The signals, in the order of their columns."""
        ...

    def build(self, context: Context) -> FamilyColumns:
        """Return the family's columns for the context's cohort."""
        ...


FAMILIES: Final[Mapping[str, Family]] = {
    "license": license_family,
    "traces": traces,
    "time_to_crime": time_to_crime,
    "southbound": southbound,
    "border": border,
    "violations": violations,
    "losses": losses,
    "multiple_sales": multiple_sales,
    "volume": volume,
    "ballistics": ballistics,
    "network": network,
    "area": area,
    "tips": tips,
}

SIGNALS: Final[tuple[Signal, ...]] = tuple(s for f in FAMILIES.values() for s in f.SIGNALS)


def all_families() -> dict[str, Family]:
    """Return every family by name: those that ship, then the agency's own.

    Raises
    ------
    OwnSignalError
        When an own family cannot be used.
    """
    own = own_families()
    require_free(FAMILIES, own)
    return {**FAMILIES, **own}


def all_signals() -> tuple[Signal, ...]:
    """Return every signal in registry order, the agency's own last."""
    return (*SIGNALS, *(s for f in own_families().values() for s in f.SIGNALS))
