"""Referrals in words: what the pattern is, what was seen, and which dealers it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from features.domain.number_words import counted
from features.reference.destinations import destination_label
from serving.contract.records.referrals import EvidenceRecord, ReferralDocument
from serving.field.referrals.referrals import FAST_DAYS, REPEAT_DAYS, SEVERAL_DAYS
from serving.scores.table.loaded_table import premises
from serving.scores.visible_dealers import Scope
from serving.web.rendering import counted_records, dealer_name

_PATTERNS: Final[Mapping[str, str]] = {
    "repeat_multiple_sales": f"One purchaser in several multiple sales within {REPEAT_DAYS} days",
    "several_dealers": f"One purchaser at several dealers within {SEVERAL_DAYS} days",
    "fast_recovery": f"A firearm recovered within {FAST_DAYS} days of its sale",
}


@dataclass(frozen=True)
class NamedDealer:
    """A dealer of a referral: its name and place where it lies in the reader's area."""

    key: str
    name: str
    place: str


@dataclass(frozen=True)
class InWords:
    """A referral as a page says it."""

    title: str
    seen: str
    open_for: str
    dealers: tuple[NamedDealer, ...]
    records: tuple[str, ...]


def in_words(referral: ReferralDocument, scope: Scope) -> InWords:
    """Return a referral in words, for one who may see it."""
    pattern = referral["pattern"]
    days = int(referral["days_open"] or 0)
    return InWords(
        title=_PATTERNS.get(pattern, pattern.replace("_", " ").capitalize()),
        seen=_seen(referral["evidence"]),
        open_for="less than a day" if days < 1 else counted(days, "day"),
        dealers=tuple(_named(key, scope) for key in referral["dealers"]),
        records=tuple(map(_record, referral["evidence"]["records"])),
    )


def _seen(evidence: EvidenceRecord) -> str:
    """Say what the records of a pattern show; empty when they tell nothing more."""
    said = []
    if "n_firearms" in evidence:
        said.append(counted(evidence["n_firearms"], "firearm"))
    first, last = evidence.get("first_on"), evidence.get("last_on")
    if first and last:
        said.append(f"sold {first}" if first == last else f"sold from {first} to {last}")
    if "days_from_sale_to_recovery" in evidence:
        days = evidence["days_from_sale_to_recovery"]
        where = evidence.get("destination")
        said.append(f"recovered in {destination_label(where)}" if where else "recovered")
        said.append(f"{counted(days, 'day')} after its sale" if days else "on the day of its sale")
    return " ".join(said)


def _named(key: str, scope: Scope) -> NamedDealer:
    row = scope.row(key)
    if row is None:
        has_score = scope.view.row(key) is not None
        return NamedDealer(key, "", "outside your area" if has_score else "without a score")
    found = premises(scope.view.snapshot.columns, row)
    place = ", ".join(part for part in (found["street"], found["city"], found["state"]) if part)
    return NamedDealer(key, dealer_name(found), place)


def _record(text: str) -> str:
    """Return a record with what it is: its table in words, then its number.

    >>> _record("multiple_sales M1"), _record("traces T1")
    ('report of a multiple sale M1', 'trace T1')
    """
    table, _, number = text.partition(" ")
    return f"{counted_records(1, table).removeprefix('1 ')} {number}"
