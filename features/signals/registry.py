"""The explicit, ordered list of every signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from features.engine.context import Context
from features.errors import InvalidValueError, did_you_mean
from features.signals import (
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
from features.signals import license as license_family
from features.signals.signal import FamilyColumns, Signal


class Family(Protocol):
    """What a family module offers."""

    SIGNALS: tuple[Signal, ...]

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


def select(*, variant: str = "full", families: Sequence[str] | None = None) -> tuple[Signal, ...]:
    """Return the signals of a variant and of some families, in registry order.

    Raises
    ------
    InvalidValueError
        When a family or the variant is unknown.
    """
    if variant not in {"full", "public"}:
        raise InvalidValueError(f"{variant!r} is no variant.", expected="full or public")
    wanted = list(families) if families is not None else list(FAMILIES)
    for name in wanted:
        if name not in FAMILIES:
            raise InvalidValueError(
                f"{name!r} is no family of signals{did_you_mean(name, FAMILIES)}",
                expected=", ".join(FAMILIES),
            )
    return tuple(
        s
        for s in SIGNALS
        if s.family in wanted and (variant == "full" or s.restriction == "public")
    )
