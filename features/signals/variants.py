"""Which signals a variant of the table holds: all of them, or the public ones alone."""

from __future__ import annotations

from collections.abc import Sequence

from features.errors import InvalidValueError, did_you_mean
from features.signals.registry import all_families, all_signals
from features.signals.signal import Signal, require_variant


def select(*, variant: str = "full", families: Sequence[str] | None = None) -> tuple[Signal, ...]:
    """Return the signals of a variant and of some families, in registry order.

    Raises
    ------
    InvalidValueError
        When a family or the variant is unknown.
    """
    require_variant(variant)
    known = all_families()
    wanted = list(families) if families is not None else list(known)
    for name in wanted:
        if name not in known:
            raise InvalidValueError(
                f"{name!r} is no family of signals{did_you_mean(name, known)}",
                expected=", ".join(known),
            )
    return tuple(s for s in all_signals() if s.family in wanted and s.is_in(variant))
