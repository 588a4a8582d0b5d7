"""What a record of a write says of the row that was written, and whether the row is still so.

A record names the row's kind and key and holds a digest of the columns that matter. Of rows that
may change (a hold, an account, a token) the newest record counts. A column that was not covered
from the start is covered by a kind of its own, beside the first (`_BESIDE`): records of before keep
their digests. Of events, which come by the hundred, one record covers all that were kept at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from serving.store.tables import (
    ACCOUNTS,
    ASSIGNMENTS,
    CASE_REQUESTS,
    DECISIONS,
    EVENTS,
    HOLDS,
    LISTS,
    OUTCOMES,
    PLANS,
    REFERRAL_STEPS,
    REFERRALS,
    RESPONSIBILITIES,
    SESSIONS,
    SUSPENSIONS,
    TOKENS,
    WEBHOOKS,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, RowMapping


@dataclass(frozen=True)
class Kind:
    """A kind of row whose writes are recorded.

    Parameters
    ----------
    columns : tuple of str
        What the digest is over. A column added to the table later stays out: older records would
        otherwise no longer match.
    when : str
        The column that says when the row was made.
    """

    table: sa.Table
    key: str
    columns: tuple[str, ...]
    when: str


KEPT: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "account": Kind(
            ACCOUNTS, "name", ("role", "areas", "is_active", "password_hash"), "created_at"
        ),
        "token": Kind(
            TOKENS,
            "token_id",
            ("account", "secret_sha256", "expires_at", "revoked_at"),
            "created_at",
        ),
        "list": Kind(LISTS, "list_id", ("owner", "bundle", "scored", "sha256"), "issued_at"),
        "decision": Kind(
            DECISIONS,
            "decision_id",
            ("list_id", "dealer", "decision", "reason", "note", "priority", "who", "at"),
            "at",
        ),
        "outcome": Kind(
            OUTCOMES,
            "outcome_id",
            ("inspection_id", "version", "dealer", "document", "list_id", "who", "at"),
            "at",
        ),
        "hold": Kind(HOLDS, "hold_id", ("dealer", "starts_on", "ends_on", "owners"), "created_at"),
        "referral_step": Kind(
            REFERRAL_STEPS,
            "step_id",
            ("referral_id", "step", "who", "to_agency", "to_who", "result", "note", "at"),
            "at",
        ),
        "suspension": Kind(
            SUSPENSIONS, "suspension_id", ("why", "who", "at", "resumed_by", "resumed_at"), "at"
        ),
        "case_request": Kind(
            CASE_REQUESTS,
            "request_id",
            (
                "case_reference", "legal_basis", "agency", "dealers", "who", "approver",
                "approved", "decided_at", "expires_at",
            ),
            "at",
        ),
        "assignment": Kind(
            ASSIGNMENTS, "assignment_id", ("list_id", "dealer", "to", "who", "at"), "at"
        ),
        "plan": Kind(PLANS, "sha256", ("plan_id", "version", "status", "owner", "who", "at"), "at"),
        "webhook": Kind(
            WEBHOOKS, "webhook_id", ("url", "kinds", "account", "salt", "removed_at"), "at"
        ),
        "responsibility": Kind(
            RESPONSIBILITIES,
            "responsibility_id",
            ("agency", "area", "subject", "contact", "starts_on", "ends_on"),
            "at",
        ),
        "referral": Kind(
            REFERRALS,
            "referral_id",
            (
                "pattern", "dedup", "dealers", "evidence", "opened_at", "taken_by", "taken_at",
                "destination", "agency", "result", "closed_at",
            ),
            "opened_at",
        ),
        # Whose a session is; that it ended is told by the clock and by `end_sessions`.
        "session": Kind(
            SESSIONS,
            "session_sha256",
            ("who", "account", "token_id", "role", "areas", "csrf", "purpose", "created_at"),
            "created_at",
        ),
        "list_making": Kind(
            LISTS, "list_id", ("issued_at", "area", "as_of", "recipe"), "issued_at"
        ),
        "decision_basis": Kind(DECISIONS, "decision_id", ("legal_basis",), "at"),
        "suspension_end": Kind(SUSPENSIONS, "suspension_id", ("resumed_why",), "at"),
        "case_words": Kind(CASE_REQUESTS, "request_id", ("why", "decision_note", "at"), "at"),
        "plan_place": Kind(PLANS, "sha256", ("office", "starts_on", "investigators"), "at"),
        "token_label": Kind(TOKENS, "token_id", ("label", "created_at"), "created_at"),
        "webhook_author": Kind(WEBHOOKS, "webhook_id", ("who", "at"), "at"),
        "responsibility_author": Kind(RESPONSIBILITIES, "responsibility_id", ("who", "at"), "at"),
    }
)  # fmt: skip
# What is recorded beside a kind: columns that its own digest leaves out.
_BESIDE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "list": "list_making",
        "decision": "decision_basis",
        "suspension": "suspension_end",
        "case_request": "case_words",
        "plan": "plan_place",
        "token": "token_label",
        "webhook": "webhook_author",
        "responsibility": "responsibility_author",
    }
)
# Events have a kind of many rows: those from one number to another.
_EVENTS: Final = "events"
_OF_EVENTS: Final = Kind(
    EVENTS, "event_id", ("source_table", "key", "sha256", "dealer", "document", "who", "at"), "at"
)


@dataclass(frozen=True)
class Difference:
    """A row that is not as its record says."""

    seq: int | None
    why: str


def kept(kind: str, row: Mapping[str, Any] | RowMapping) -> str:
    """Return what a record says of a row: its kind, its key and its digest, once for each kind.

    >>> kept("hold", {"hold_id": "H-1", "dealer": "1-10-00001", "starts_on": "2026-01-01",
    ...               "ends_on": None, "owners": ["maria"]}).split(" ")[:2]
    ['hold', 'H-1']
    """
    kinds = [kind] + ([_BESIDE[kind]] if kind in _BESIDE else [])
    return " ".join(f"{one} {row[KEPT[one].key]} {_digest(KEPT[one], row)}" for one in kinds)


def kept_now(connection: Connection, kind: str, key: str | int) -> str:
    """Return what a record says of a row as it stands within this transaction."""
    abouts = [KEPT[kind]] + ([KEPT[_BESIDE[kind]]] if kind in _BESIDE else [])
    names = dict.fromkeys((abouts[0].key, *(name for about in abouts for name in about.columns)))
    table = abouts[0].table
    found = connection.execute(
        sa.select(*(table.c[name] for name in names)).where(table.c[abouts[0].key] == key)
    )
    return kept(kind, found.one()._mapping)


def events_kept_now(connection: Connection, ids: Sequence[int]) -> str:
    """Return what a record says of events that were kept at once; empty when there are none.

    The order's lock must be held: between the first and the last number are theirs alone.
    """
    if not ids:
        return ""
    digest = hashlib.sha256()
    for row in connection.execute(_events().where(EVENTS.c.event_id.between(ids[0], ids[-1]))):
        digest.update(_line(row._mapping))
    return f"{_EVENTS} {ids[0]}-{ids[-1]} {digest.hexdigest()}"


@dataclass
class Recorded:
    """What the records of a chain say of the rows they cover."""

    newest: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    # When the first row of a kind was recorded: one made since must have a record.
    since: dict[str, str] = field(default_factory=dict)

    def add(self, kept: str, *, seq: int, at: str) -> None:
        """Take in what one record says: kind, key and digest, once or more."""
        words = iter(kept.split(" "))
        for kind, key, digest in zip(words, words, words, strict=True):
            self.newest[kind, key] = (digest, seq)
            self.since.setdefault(kind, at)


def differences(connection: Connection, recorded: Recorded) -> tuple[Difference | None, int]:
    """Compare every row with its newest record.

    Returns
    -------
    (Difference or None, int)
        The first row that is changed, gone or without a record, and how many rows are from before
        writes of their kind were recorded.
    """
    n_uncovered: dict[str, int] = {}
    for kind, about in KEPT.items():
        wanted = {key: entry for (k, key), entry in recorded.newest.items() if k == kind}
        older: list[str] = []
        columns = [about.table.c[name] for name in dict.fromkeys((about.key, about.when))]
        columns += [about.table.c[name] for name in about.columns if name != about.when]
        for row in connection.execute(sa.select(*columns)).yield_per(10_000):
            key = str(row._mapping[about.key])
            entry = wanted.pop(key, None)
            if entry is None:
                older.append(str(row._mapping[about.when]))
            elif _digest(about, row._mapping) != entry[0]:
                return _not_as_recorded(kind, key, entry[1]), sum(n_uncovered.values())
        if wanted:
            key, entry = min(wanted.items(), key=lambda item: item[1][1])
            return _gone(kind, key, entry[1]), sum(n_uncovered.values())
        if _is_unrecorded(older, recorded.since.get(kind)):
            return _without(about), sum(n_uncovered.values())
        # A row that several kinds cover is one row.
        table = about.table.name
        n_uncovered[table] = max(n_uncovered.get(table, 0), len(older))
    found, n_uncovered[EVENTS.name] = _event_differences(connection, recorded)
    return found, sum(n_uncovered.values())


def _event_differences(connection: Connection, recorded: Recorded) -> tuple[Difference | None, int]:
    """Compare the events with the records of those that were kept at once, in their order."""
    rows = iter(connection.execute(_events()).yield_per(10_000))
    row = next(rows, None)
    older: list[str] = []
    for key, (recorded_digest, seq) in _spans(recorded):
        first, last = map(int, key.split("-"))
        while row is not None and row.event_id < first:
            older.append(str(row.at))
            row = next(rows, None)
        digest, n = hashlib.sha256(), 0
        while row is not None and row.event_id <= last:
            digest.update(_line(row._mapping))
            n += 1
            row = next(rows, None)
        if not n:
            return _gone(_EVENTS, key, seq), len(older)
        if digest.hexdigest() != recorded_digest:
            why = f"the events {key} are not as record {seq} says"
            return Difference(seq, why), len(older)
    while row is not None:
        older.append(str(row.at))
        row = next(rows, None)
    if _is_unrecorded(older, recorded.since.get(_EVENTS)):
        return _without(_OF_EVENTS), len(older)
    return None, len(older)


def _spans(recorded: Recorded) -> list[tuple[str, tuple[str, int]]]:
    """Return what was kept at once, from which number to which, in order."""
    found = [(key, entry) for (kind, key), entry in recorded.newest.items() if kind == _EVENTS]
    return sorted(found, key=lambda one: int(one[0].partition("-")[0]))


def _events() -> sa.Select[Any]:
    columns = [EVENTS.c[name] for name in (_OF_EVENTS.key, *_OF_EVENTS.columns)]
    return sa.select(*columns).order_by(EVENTS.c.event_id)


def _line(row: RowMapping) -> bytes:
    return f"{row['event_id']} {_digest(_OF_EVENTS, row)}\n".encode()


def _is_unrecorded(older: Iterable[str], since: str | None) -> bool:
    """Whether a row without a record was made after rows of its kind were recorded."""
    return since is not None and any(when > since for when in older)


def _not_as_recorded(kind: str, key: str, seq: int) -> Difference:
    return Difference(seq, f"the {kind} {key} is not as record {seq} says".replace("_", " "))


def _gone(kind: str, key: str, seq: int) -> Difference:
    what = f"the {kind} {key} {'are' if kind == _EVENTS else 'is'} gone"
    return Difference(seq, what.replace("_", " "))


def _without(about: Kind) -> Difference:
    return Difference(None, f"a row of {about.table.name} has no record")


def _digest(about: Kind, row: Mapping[str, Any] | RowMapping) -> str:
    text = json.dumps([row[name] for name in about.columns], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
