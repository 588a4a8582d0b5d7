"""What people do with lists: rows handed over, decisions taken, views saved by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypedDict

import sqlalchemy as sa

from features.domain.agency_day import day_of
from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger
from serving.contract.field.decisions import OVERRIDE_WORDS
from serving.contract.records.lists import (
    AssignmentRecord,
    HandedRecord,
    StoredDecisionRecord,
)
from serving.errors import ConflictError, UnknownListError
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


def assign(
    store: Store,
    *,
    list_id: str,
    dealer: str,
    to: str,
    ledger: Ledger,
    looked_at: str | None = None,
) -> None:
    """Hand a dealer of a list over, with the record of it; a later one counts.

    Raises
    ------
    ConflictError
        When somebody else has handed the dealer over since the instant `looked_at`.
    """
    who = ledger.base.who
    newer = sa.select(ASSIGNMENTS).where(
        ASSIGNMENTS.c.list_id == list_id, ASSIGNMENTS.c.dealer == dealer,
        ASSIGNMENTS.c.at > (looked_at or ""), ASSIGNMENTS.c.who != who,
    ).order_by(ASSIGNMENTS.c.assignment_id.desc()).limit(1)  # fmt: skip
    row = {"list_id": list_id, "dealer": dealer, "to": to, "who": who, "at": instant()}
    with store.write() as connection:
        other = None if looked_at is None else connection.execute(newer).first()
        if other is not None:
            raise ConflictError(
                "Somebody else has handed this dealer over since you looked: nothing was done.",
                found=f"to {other.to}, by {other.who}",
            )
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
        said[dealer] = f"{made} {day_of(one['at'])}{': ' + why if why else ''}."
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

    A dealer is settled by a decision on the list itself, or, since the list was issued, by a visit
    or a decision on another.
    """
    query = sa.select(ASSIGNMENTS).order_by(ASSIGNMENTS.c.assignment_id.desc())
    newest: dict[tuple[str, str], HandedRecord] = {}
    with store.read() as connection:
        for row in connection.execute(query):
            one = picked(HandedRecord, row._mapping)
            newest.setdefault((one["list_id"], one["dealer"]), one)
        mine = [one for one in newest.values() if one["to"] == name][:_MOST]
        issued = sa.select(LISTS.c.list_id, LISTS.c.issued_at)
        issued = issued.where(LISTS.c.list_id.in_({one["list_id"] for one in mine}))
        issued_at = {row.list_id: row.issued_at for row in connection.execute(issued)}
        about = DECISIONS.c.dealer.in_({one["dealer"] for one in mine})
        query = sa.select(DECISIONS).where(about).order_by(DECISIONS.c.decision_id)
        decided = list(connection.execute(query))
    visits = first_told(store, min(issued_at.values())) if issued_at else []
    by_dealer: dict[str, list[sa.Row[Any]]] = {}
    for row in decided:
        by_dealer.setdefault(row.dealer, []).append(row)
    standing: list[AssignmentRecord] = []
    for one in mine:
        list_id, dealer = one["list_id"], one["dealer"]
        since = issued_at.get(list_id, "")
        told = [at for visited, at in visits if visited == dealer and since and at >= since]
        settled = _settled(by_dealer.get(dealer, []), told, list_id=list_id, since=since)
        standing.append({**one, "is_decided": bool(settled), "settled": settled})
    return standing


def _settled(
    decided: Sequence[sa.Row[Any]], told: Sequence[str], *, list_id: str, since: str
) -> str:
    """Say how a dealer handed over was settled, a visit before a decision; empty when not yet."""
    if told:
        return f"visited, outcome told {day_of(max(told))}"
    here = [row for row in decided if row.list_id == list_id]
    elsewhere = [row for row in decided if since and row.at >= since]
    for rows in (here, elsewhere):
        if rows:
            return decision_in_words(rows[-1], where="" if rows is here else " on another list")
    return ""


def decision_in_words(made: sa.Row[Any], *, where: str = "") -> str:
    """Say a decision with its day and why, without a full stop."""
    verb = "accepted" if made.decision == "accept" else "overridden"
    reason = made.reason or ""
    why = OVERRIDE_WORDS.get(reason, reason).lower()
    return f"{verb} {day_of(made.at)}{where}{': ' + why if why else ''}"


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
