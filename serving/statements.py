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
# The words that begin what gates could not say, by which it is found among disclaimers.
UNJUDGED: Final = "Not all was judged"
WITHOUT_COMPLIANCE: Final = "No compliance head"
_GATES: Final[Mapping[str, str]] = {
    "better_than_chance": "whether it orders better than chance",
    "not_worse_than_rules": "whether it finds as much as simple rules",
    "calibration": "whether its chances come true",
    "within_investigator": "whether it tells dealers of one investigator apart",
    "strictness": "whether it only repeats how strict an office is",
    "stability": "whether lists stay alike from one training to the next",
    "champion": "whether it finds as much as the bundle before",
    "fairness": "whether a group loses by it",
}
# How a card's own statements begin of which every answer's first two hold the same.
_OF_CARD: Final = (
    "A score is not evidence. It orders", "It never justifies letting", "Traces are requested by",
)  # fmt: skip
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


def scored_alone(row: Mapping[str, Any], as_of: object) -> str:
    """Say that a dealer was scored by itself after an event, beside others as of a day before.

    >>> scored_alone({"as_of": "2026-03-02"}, "2026-01-01")
    'Scored after an event about it, on records known before 2026-03-02.'
    >>> scored_alone({"as_of": "2026-01-01"}, "2026-01-01"), scored_alone({"as_of": None}, "")
    ('', '')
    """
    own = str(row.get("as_of") or "")
    is_later = bool(own) and own > str(as_of)
    return f"Scored after an event about it, on records known before {own}." if is_later else ""


def judged_sentence(judged: Mapping[str, Any] | None) -> str:
    """Say what gates could not say of the bundle in force, and what the list then rests on.

    Empty where they said everything, and for bundles that were promoted before this was kept.

    >>> judged_sentence(None), judged_sentence({"n_gates": 9, "unsaid": [], "waived": []})
    ('', '')
    >>> judged_sentence({"n_gates": 9, "unsaid": [{"gate": "fairness", "head": "order"}]})
    'Not all was judged: 1 of 9 gates cannot say (whether a group loses by it: order).'
    >>> judged_sentence({"n_gates": 9, "waived": ["compliance_head"], "heads": ["diversion"]})
    'No compliance head: the order rests on diversion alone, and says nothing of findings.'
    """
    if not judged:
        return ""
    said = []
    if "compliance_head" in judged.get("waived", ()):
        heads = " and ".join(str(one).replace("_", " ") for one in judged.get("heads", ()))
        said.append(
            f"{WITHOUT_COMPLIANCE}: the order rests on {heads} alone, and says nothing of findings."
        )
    about: dict[str, list[str]] = {}
    for one in judged.get("unsaid", ()):
        what = _GATES.get(one["gate"], one["gate"].replace("_", " "))
        about.setdefault(what, []).append(str(one["head"]).replace("_", " "))
    if about:
        n = sum(len(heads) for heads in about.values())
        told = (
            f"{what}: {', '.join(heads)}" if any(heads) else what for what, heads in about.items()
        )
        said.append(f"{UNJUDGED}: {n} of {judged['n_gates']} gates cannot say ({'; '.join(told)}).")
    return " ".join(said)


def with_gates(card: str, said: str) -> str:
    """Return a bundle's card with what its gates could not say, which is known after it."""
    return f"{card.rstrip()}\n\n## Gates\n\n{said}\n" if said else card


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

    That the records are old and what gates could not say come before the first two, and take the
    place of neither.

    >>> in_short([NOT_EVIDENCE, TRACE_DISCLAIMER, "more"]) == [NOT_EVIDENCE, TRACE_DISCLAIMER]
    True
    >>> len(in_short([old_records(date(2024, 5, 1), 610), NOT_EVIDENCE, TRACE_DISCLAIMER, "more"]))
    3
    """
    return list(said[: 2 + len(_before(said))])


def in_brief(said: Sequence[str]) -> list[str]:
    """Return the disclaimers in their first words, where the whole of them stands elsewhere.

    >>> in_brief([NOT_EVIDENCE, TRACE_DISCLAIMER, "more"])[0]
    'A score orders inspections. It is not evidence that a dealer did anything wrong.'
    >>> len(in_brief([NOT_EVIDENCE, PUBLIC_BASIS])), len(in_brief([NOT_EVIDENCE, TRACE_DISCLAIMER]))
    (1, 2)
    """
    traces = [TRACES_IN_BRIEF] if TRACE_DISCLAIMER in said else []
    return [*_before(said), NOT_EVIDENCE_IN_BRIEF, *traces]


def each_once(said: Sequence[str]) -> list[str]:
    """Return the disclaimers, each thing once: a card repeats what every answer begins with.

    >>> each_once([PUBLIC_BASIS, "A score is not evidence. It orders.", PUBLIC_BASIS, "more"])[1:]
    ['more']
    """
    return [one for one in dict.fromkeys(said) if not one.startswith(_OF_CARD)]


def _before(said: Sequence[str]) -> list[str]:
    """Return what stands before the disclaimers of every answer: of this table alone."""
    return [s for s in said[:2] if s.startswith((OLD_RECORDS, UNJUDGED, WITHOUT_COMPLIANCE))]


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
