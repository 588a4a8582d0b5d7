"""What a record of a write says of the row that was written, and whether the row is still so.

A record names the row's kind and key and holds a digest of the columns that matter. Of rows that
may change (a hold, an account, a token) the newest record counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from serving.store.tables import (
    ACCOUNTS,
    ASSIGNMENTS,
    CASE_REQUESTS,
    DECISIONS,
    HOLDS,
    LISTS,
    OUTCOMES,
    PLANS,
    REFERRAL_STEPS,
    RESPONSIBILITIES,
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
    }
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """A row that is not as its record says."""

    seq: int | None
    why: str


def kept(kind: str, row: Mapping[str, Any] | RowMapping) -> str:
    """Return what a record says of a row: its kind, its key and its digest.

    >>> kept("hold", {"hold_id": "H-1", "dealer": "1-10-00001", "starts_on": "2026-01-01",
    ...               "ends_on": None, "owners": ["maria"]}).split(" ")[:2]
    ['hold', 'H-1']
    """
    about = KEPT[kind]
    return f"{kind} {row[about.key]} {_digest(about, row)}"


def kept_now(connection: Connection, kind: str, key: str | int) -> str:
    """Return what a record says of a row as it stands within this transaction."""
    about = KEPT[kind]
    found = connection.execute(sa.select(about.table).where(about.table.c[about.key] == key))
    return kept(kind, found.one()._mapping)


def differences(
    connection: Connection, recorded: Mapping[tuple[str, str], tuple[str, int]]
) -> tuple[Difference | None, int]:
    """Compare every row with its newest record.

    Parameters
    ----------
    recorded : mapping of (kind, key) to (digest, sequence number)

    Returns
    -------
    (Difference or None, int)
        The first row that is changed, gone or without a record, and how many rows are from before
        writes of their kind were recorded.
    """
    n_uncovered = 0
    for kind, about in KEPT.items():
        wanted = {key: entry for (k, key), entry in recorded.items() if k == kind}
        older: list[str] = []
        first = None
        columns = [about.table.c[name] for name in (about.key, about.when, *about.columns)]
        for row in connection.execute(sa.select(*columns)).yield_per(10_000):
            key = str(row._mapping[about.key])
            entry = wanted.pop(key, None)
            if entry is None:
                older.append(str(row._mapping[about.when]))
                continue
            first = min(first or "9", str(row._mapping[about.when]))
            if _digest(about, row._mapping) != entry[0]:
                why = f"the {kind} {key} is not as record {entry[1]} says"
                return Difference(entry[1], why.replace("_", " ")), n_uncovered
        if wanted:
            key, entry = min(wanted.items(), key=lambda item: item[1][1])
            return Difference(entry[1], f"the {kind} {key} is gone".replace("_", " ")), n_uncovered
        if first is not None and any(when > first for when in older):
            return Difference(None, f"a row of {about.table.name} has no record"), n_uncovered
        n_uncovered += len(older)
    return None, n_uncovered


def _digest(about: Kind, row: Mapping[str, Any] | RowMapping) -> str:
    text = json.dumps([row[name] for name in about.columns], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
