"""The sentences that ride on screens, files and answers, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

# Our own words for the disclaimer that the agency attaches to trace figures.
TRACE_DISCLAIMER: Final = (
    "Firearm traces help an investigation follow the sale and possession of particular "
    "firearms. Agencies may ask for a trace for any reason and need not say which. Not every "
    "firearm used in crime is traced and not every traced firearm was used in crime. Traced "
    "firearms are not chosen to show which kinds are used illegally, are not a random sample, "
    "and do not stand for all firearms used by criminals. A trace normally ends at the first "
    "retail sale, and the sources it names do not necessarily show how firearms in general "
    "are acquired for crime."
)
NOT_EVIDENCE: Final = (
    "A score orders inspections. It is not evidence that a dealer did anything wrong, and it is no "
    "ground for letting a suspect sale go on."
)
NOT_EVIDENCE_IN_BRIEF: Final = (
    "A score orders inspections. It is not evidence that a dealer did anything wrong."
)
TRACES_IN_BRIEF: Final = (
    "Traced firearms are no random sample, and a trace is no sign of wrongdoing by itself."
)
PEERS: Final = (
    "Peers are the dealers with the same type of license whose value is known; where fewer than "
    "200 are, all dealers stand in for them and the sentence says so. More than and less than "
    "leave out those with the same value."
)
INTERVALS: Final = (
    "The interval of a chance holds, nine times in ten, what would be found among dealers with a "
    "record like this one's. What no record tells of the single dealer, such as who works there, "
    "is left out: the dealer's own chance lies outside more often."
)
OLD_RECORDS: Final = "These answers rest on records to"
PUBLIC_BASIS: Final = (
    "Built from published records alone: the license listing and inspections that ended in a "
    "penalty. It mixes who was visited with what was found, and cannot say what an inspection of "
    "a dealer never visited would have found."
)


def old_records(records_to: date, age_days: int) -> str:
    """Say that the records are old, and what that means for a visit."""
    return (
        f"{OLD_RECORDS} {records_to.isoformat()}, {age_days:,} days ago. What "
        "happened since is in them only where it was told to this service, as the outcome of a "
        "visit is: that counts for when a dealer may be visited; one not told does not."
    )


def disclaimers(restriction: str, limits: Sequence[str] = ()) -> list[str]:
    """Return what must ride on an answer built from data of that restriction.

    Parameters
    ----------
    limits : sequence of str
        What the bundle's card says that its scores cannot say.
    """
    if restriction == "public":
        return [NOT_EVIDENCE, *(limits or (PUBLIC_BASIS,))]
    return [NOT_EVIDENCE, TRACE_DISCLAIMER, *limits]


def in_short(said: Sequence[str]) -> list[str]:
    """Return the disclaimers that the shortest paper carries too.

    That the records are old comes before the first two, and takes the place of neither.

    >>> in_short([NOT_EVIDENCE, TRACE_DISCLAIMER, "more"]) == [NOT_EVIDENCE, TRACE_DISCLAIMER]
    True
    >>> len(in_short([old_records(date(2024, 5, 1), 610), NOT_EVIDENCE, TRACE_DISCLAIMER, "more"]))
    3
    """
    is_old = bool(said) and said[0].startswith(OLD_RECORDS)
    return list(said[: 3 if is_old else 2])


def in_brief(said: Sequence[str]) -> list[str]:
    """Return the disclaimers in their first words, where the whole of them stands elsewhere.

    >>> in_brief([NOT_EVIDENCE, TRACE_DISCLAIMER, "more"])[0]
    'A score orders inspections. It is not evidence that a dealer did anything wrong.'
    >>> len(in_brief([NOT_EVIDENCE, PUBLIC_BASIS])), len(in_brief([NOT_EVIDENCE, TRACE_DISCLAIMER]))
    (1, 2)
    """
    old = [one for one in said[:1] if one.startswith(OLD_RECORDS)]
    traces = [TRACES_IN_BRIEF] if TRACE_DISCLAIMER in said else []
    return [*old, NOT_EVIDENCE_IN_BRIEF, *traces]


def basis_sentence(basis: Mapping[str, Any]) -> str:
    """Say what a figure was made from, for pages and printed files."""
    old = f" Old records: to {basis['records_to']}." if basis.get("is_stale") else ""
    return (
        f"As of {basis['as_of']}; bundle {basis['bundle']}, scored table {basis['scored']}, "
        f"fingerprint {str(basis['fingerprint'])[:12]}.{old}"
    )


def data_sentence(as_of: date | str) -> str:
    """Say up to when the records behind a page or file go.

    >>> data_sentence(date(2026, 1, 1))
    'On records known before 2026-01-01.'
    """
    return f"On records known before {as_of}."
