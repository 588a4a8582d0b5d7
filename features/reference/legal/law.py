"""The law-like number in force on a date.

Each number lives in ``law.toml`` with its unit, the days on which it starts and ends, an official
reference, and how well the entry is supported (`Law.evidence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal

from features.errors import InvalidValueError, did_you_mean
from features.reference.files import read_toml

Evidence = Literal["read", "second_hand", "recalled", "convention"]

EVIDENCE: Final[dict[Evidence, str]] = {
    "read": "read in the reference named",
    "second_hand": "reported by a third party; the reference itself was not read",
    "recalled": "common knowledge of the field; check the text before relying on it",
    "convention": "a choice of this project",
}


@dataclass(frozen=True)
class Law:
    """One value of a law-like number and the days it is in force.

    Parameters
    ----------
    name : str
        What code asks for.
    value : float, int or str
        The value; codes are written space separated.
    unit : str
        Unit of the value.
    starts_on : date
        First day in force, or the first day for which the reference attests it.
    ends_on : date or None
        First day no longer in force; None while in force.
    reference : str
        Statute, regulation or document.
    evidence : {"read", "second_hand", "recalled", "convention"}
        How well the entry is supported.
    note : str
        What a reader must know before relying on it.
    """

    name: str
    value: float | int | str
    unit: str
    starts_on: date
    ends_on: date | None
    reference: str
    evidence: Evidence
    note: str = ""

    def is_in_force(self, on: date) -> bool:
        """Whether `on` falls within the days in force."""
        return self.starts_on <= on and (self.ends_on is None or on < self.ends_on)


@lru_cache(maxsize=1)
def laws() -> tuple[Law, ...]:
    """Every entry of ``law.toml``, ordered by name and first day."""
    rows = [
        Law(
            name=name,
            unit=entry["unit"],
            value=span["value"],
            starts_on=span["starts_on"],
            ends_on=span.get("ends_on"),
            reference=span.get("reference", entry["reference"]),
            evidence=span.get("evidence", entry["evidence"]),
            note=span.get("note", entry.get("note", "")),
        )
        for name, entry in read_toml("legal/law.toml").items()
        for span in entry["in_force"]
    ]
    return tuple(sorted(rows, key=lambda row: (row.name, row.starts_on)))


def law_entry(name: str, on: date) -> Law:
    """Return the entry in force on a date, with its reference.

    Raises
    ------
    InvalidValueError
        When no law has that name, or none of that name is in force on that date; the message says
        which dates are covered.
    """
    entries = [entry for entry in laws() if entry.name == name]
    if not entries:
        known = sorted({entry.name for entry in laws()})
        raise InvalidValueError(
            f"No law-like number is called {name!r}{did_you_mean(name, known, end='.')}",
            found=name,
            expected=", ".join(known),
        )
    for entry in entries:
        if entry.is_in_force(on):
            return entry
    spans = "; ".join(
        f"{entry.value} {entry.unit} from {entry.starts_on} to {entry.ends_on or 'today'}"
        for entry in entries
    )
    raise InvalidValueError(
        f"{name!r} had no value in force on {on}.",
        found=str(on),
        expected=f"a date within: {spans}",
    )


def law(name: str, on: date) -> float | int | str:
    """Return the value in force on a date.

    Raises
    ------
    InvalidValueError
        As `law_entry`.

    Examples
    --------
    >>> law("demand_letter_2_min_traces", date(2017, 12, 31))
    10
    >>> law("demand_letter_2_min_traces", date(2018, 1, 1))
    25
    """
    return law_entry(name, on).value


def timeless(name: str) -> float | int | str:
    """Return the value of a measure that is the same on every day.

    Labels, signals and releases of every day rest on it: a second value would rewrite what was
    stated and kept of the days before, so a changed measure takes a new name.

    Raises
    ------
    InvalidValueError
        When it has more than one value, or ends.
    """
    first, *others = [entry for entry in laws() if entry.name == name] or [
        law_entry(name, date.max)
    ]
    if others or first.ends_on is not None:
        raise InvalidValueError(
            f"{name!r} is counted over all days alike, and has a value that starts or ends.",
            found="; ".join(f"{entry.value} from {entry.starts_on}" for entry in (first, *others)),
            expected="one value without an end",
            fix="give the changed measure a name of its own",
        )
    return first.value


def is_in_force(name: str, on: date) -> bool:
    """Whether some value of `name` is in force on a date; an unknown name is refused.

    >>> is_in_force("demand_letter_2_min_traces", date(2026, 1, 1))
    False
    """
    if not any(entry.name == name for entry in laws()):
        law_entry(name, on)
    return any(entry.name == name and entry.is_in_force(on) for entry in laws())
