"""What people do with lists: rows handed over, decisions taken, views saved by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypedDict

import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger
from serving.contract.field import OVERRIDE_WORDS
from serving.contract.records.lists import (
    AssignmentRecord,
    HandedRecord,
    StoredDecisionRecord,
)
from serving.errors import UnknownListError
from serving.lists.issued import document_for
from serving.lists.owners import is_own
from serving.lists.since import decided_elsewhere, first_told
from serving.lists.summaries import decisions_of
from serving.runtime import Runtime
from serving.scores.visible_dealers import View
from serving.store.database import Store, instant
from serving.store.rows import picked
from serving.store.tables import ASSIGNMENTS, DECISIONS, LISTS, OUTCOMES, VIEWS

_MOST: Final = 200


def assign(store: Store, *, list_id: str, dealer: str, to: str, ledger: Ledger) -> None:
    """Hand a dealer of a list over, with the record of it; a later one counts."""
    who = ledger.base.who
    row = {"list_id": list_id, "dealer": dealer, "to": to, "who": who, "at": instant()}
    with store.write() as connection:
        result = connection.execute(ASSIGNMENTS.insert(), row)
        key = int((result.inserted_primary_key or [0])[0])
        kept = kept_now(connection, "assignment", key)
        ledger.add(connection, "assign", f"{dealer} to {to}", kept=kept)


def assignments_of(store: Store, list_id: str) -> dict[str, str]:
    """Return to whom each dealer of a list was handed last."""
    query = sa.select(ASSIGNMENTS.c.dealer, ASSIGNMENTS.c.to).where(
        ASSIGNMENTS.c.list_id == list_id
    )
    with store.read() as connection:
        rows = connection.execute(query.order_by(ASSIGNMENTS.c.assignment_id))
        return {row.dealer: row.to for row in rows}


def decided_in_words(store: Store, view: View, document: Mapping[str, Any]) -> dict[str, str]:
    """Say what was decided about the dealers of a list since, and with whom they stand.

    A decision on the list itself stands before one on another list.
    """
    said = {
        dealer: one.sentence for dealer, one in decided_elsewhere(store, view, document).items()
    }
    for dealer, one in decisions_of(store, document["list_id"]).items():
        made = "Accepted" if one["decision"] == "accept" else "Overridden"
        reason = one["reason"] or ""
        parts = [OVERRIDE_WORDS.get(reason, reason).lower(), one["note"]]
        why = "; ".join(part for part in parts if part)
        said[dealer] = f"{made} {one['at'][:10]}{': ' + why if why else ''}."
    for dealer, name in assignments_of(store, document["list_id"]).items():
        said[dealer] = f"{said[dealer]} With {name}." if dealer in said else f"With {name}."
    listed = {row["dealer"] for row in document["rows"]}
    return {dealer: words for dealer, words in said.items() if dealer in listed}


def readable_of(
    runtime: Runtime, principal: Principal, list_ids: Collection[str]
) -> frozenset[str]:
    """Return which lists somebody may read: a row can be handed over without its list."""
    query = sa.select(LISTS.c.list_id, LISTS.c.owner).where(LISTS.c.list_id.in_(list_ids))
    with runtime.store.read() as connection:
        owner_of = {row.list_id: row.owner for row in connection.execute(query)}
    return frozenset(
        key
        for key, owner in owner_of.items()
        if is_own(principal, owner) or _can_read(runtime, principal, key)
    )


def _can_read(runtime: Runtime, principal: Principal, list_id: str) -> bool:
    try:
        document_for(runtime, principal, list_id)
    except UnknownListError:
        return False
    return True


def assigned_to(store: Store, name: str) -> list[AssignmentRecord]:
    """Return what stands with somebody now, the newest first, decided or not.

    A dealer is decided by a decision on the list itself, or on another since the list was issued.
    """
    query = sa.select(ASSIGNMENTS).order_by(ASSIGNMENTS.c.assignment_id.desc())
    last = sa.func.max(DECISIONS.c.at).label("at")
    decided = sa.select(DECISIONS.c.list_id, DECISIONS.c.dealer, last)
    decided = decided.group_by(DECISIONS.c.list_id, DECISIONS.c.dealer)
    with store.read() as connection:
        rows = [picked(HandedRecord, row._mapping) for row in connection.execute(query)]
        decisions = connection.execute(decided).all()
        named = [row["list_id"] for row in rows if row["to"] == name]
        issued = sa.select(LISTS.c.list_id, LISTS.c.issued_at).where(LISTS.c.list_id.in_(named))
        issued_at = {row.list_id: row.issued_at for row in connection.execute(issued)}
    told = first_told(store, min(issued_at.values())) if issued_at else []
    done = {(row.list_id, row.dealer) for row in decisions}
    since_issued = [*told, *((row.dealer, row.at) for row in decisions)]
    elsewhere = {
        (key, dealer)
        for key, since in issued_at.items()
        for dealer, at in since_issued
        if at >= since
    }
    newest: dict[tuple[str, str], HandedRecord] = {}
    for row in rows:
        newest.setdefault((row["list_id"], row["dealer"]), row)
    standing: list[AssignmentRecord] = [
        {**row, "is_decided": key in done or key in elsewhere}
        for key, row in newest.items()
        if row["to"] == name
    ]
    return standing[:_MOST]


def decisions_by(store: Store, name: str) -> list[StoredDecisionRecord]:
    """Return somebody's decisions, the newest first."""
    query = (
        sa.select(DECISIONS)
        .where(DECISIONS.c.who == name)
        .order_by(DECISIONS.c.decision_id.desc())
        .limit(_MOST)
    )
    with store.read() as connection:
        return [picked(StoredDecisionRecord, row._mapping) for row in connection.execute(query)]


class VisitRecord(TypedDict):
    """A visit as its teller's work shows it."""

    dealer: str
    list_id: str
    inspection_id: str
    kind: str
    opened_on: str
    outcome: str
    at: str


def visits_by(store: Store, name: str) -> list[VisitRecord]:
    """Return the visits whose outcome somebody told, as told last, the newest first."""
    query = sa.select(OUTCOMES).where(OUTCOMES.c.who == name)
    query = query.order_by(OUTCOMES.c.outcome_id.desc()).limit(_MOST)
    newest: dict[str, VisitRecord] = {}
    with store.read() as connection:
        for row in connection.execute(query):
            newest.setdefault(
                row.inspection_id, picked(VisitRecord, {**row.document, **row._mapping})
            )
    return list(newest.values())


def save_view(store: Store, title: str, query: str, *, ledger: Ledger) -> None:
    """Keep a filter under a name, with the record of it; the same name again replaces it."""
    name = ledger.base.who
    with store.write() as connection:
        connection.execute(VIEWS.delete().where(VIEWS.c.account == name, VIEWS.c.title == title))
        row = {"account": name, "title": title, "query": query, "at": instant()}
        connection.execute(VIEWS.insert(), row)
        ledger.add(connection, "save_view", title)


def views_of(store: Store, name: str) -> list[tuple[str, str]]:
    """Return title and query of somebody's views, by title."""
    query = sa.select(VIEWS.c.title, VIEWS.c.query).where(VIEWS.c.account == name)
    with store.read() as connection:
        return [(row.title, row.query) for row in connection.execute(query.order_by(VIEWS.c.title))]
