"""The outcome ladder of an inspection, and the adverse-action policy that stood behind it.

Outcomes are ordered by severity; `surrender` and `other` leave the ladder sideways and have no
place in the order. What was recommended and what was decided are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal, get_args

from features.errors import InvalidValueError, did_you_mean
from features.reference.files import read_toml

Outcome = Literal[
    "none", "report", "warning_letter", "warning_conference", "revocation", "surrender", "other"
]  # fmt: skip

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
LADDER: Final[dict[Outcome, int]] = {
    "none": 0,
    "report": 1,
    "warning_letter": 2,
    "warning_conference": 3,
    "revocation": 4,
}
# After these a dealer is seen again, and these are severe; one place for every count of them.
WARNED: Final[tuple[Outcome, ...]] = ("warning_letter", "warning_conference")
SEVERE: Final[tuple[Outcome, ...]] = ("warning_conference", "revocation")

NAMES: Final[dict[Outcome, str]] = {
    "none": "no violation",
    "report": "report of violations",
    "warning_letter": "warning letter",
    "warning_conference": "warning conference",
    "revocation": "revocation or denied renewal",
    "surrender": "license surrendered or out of business",
    "other": "other disposition",
}


def outcome_label(outcome: str | None) -> str:
    """Return an outcome in words; an unknown one keeps its name.

    >>> outcome_label("none"), outcome_label("fee_letter"), outcome_label(None)
    ('no violation', 'fee letter', 'outcome not known')
    """
    if not outcome:
        return "outcome not known"
    names = {str(code): said for code, said in NAMES.items()}
    return names.get(outcome, outcome.replace("_", " "))


@dataclass(frozen=True)
class Regime:
    """One adverse-action policy and the days it was in force.

    Parameters
    ----------
    name : str
        Short name, used as a category.
    starts_on : date
        First day in force.
    ends_on : date or None
        First day no longer in force.
    policy, reference, evidence, note : str
        What it said, where that is written, how well it is supported.
    """

    name: str
    starts_on: date
    ends_on: date | None
    policy: str
    reference: str
    evidence: str
    note: str = ""


@lru_cache(maxsize=1)
def regimes() -> tuple[Regime, ...]:
    """Every policy, in order; each ends where the next begins."""
    entries = read_toml("legal/outcomes.toml")["regime"]
    return tuple(Regime(**{"ends_on": None, **entry}) for entry in entries)


def policy_regime(on: date) -> str:
    """Name of the adverse-action policy in force on a date.

    Raises
    ------
    InvalidValueError
        For a date before the Gun Control Act.

    Examples
    --------
    >>> policy_regime(date(2019, 6, 1)), policy_regime(date(2023, 6, 1))
    ('graduated', 'enhanced_enforcement')
    """
    for regime in regimes():
        if regime.starts_on <= on and (regime.ends_on is None or on < regime.ends_on):
            return regime.name
    raise InvalidValueError(
        f"No adverse-action policy is known on {on}.",
        found=str(on),
        expected=f"a date on or after {regimes()[0].starts_on}",
    )


def read_outcome(wording: str) -> Outcome:
    """Return the outcome that an agency's wording stands for.

    Raises
    ------
    InvalidValueError
        When the wording is not among those of ``outcomes.toml``.

    Examples
    --------
    >>> read_outcome("Revocation/denial of renewal")
    'revocation'
    """
    wordings: dict[str, Outcome] = read_toml("legal/outcomes.toml")["wording"]
    known: dict[str, Outcome] = wordings | {outcome: outcome for outcome in OUTCOMES}
    key = " ".join(wording.lower().split())
    if key not in known:
        raise InvalidValueError(
            f"{wording!r} is no outcome of an inspection{did_you_mean(key, known, end='.')}",
            found=repr(wording),
            expected=", ".join(sorted(known)),
            fix="map the wording to an outcome in the mapping file",
        )
    return known[key]
