"""Accepted and overridden places of a list: kept, and judged later as a rival of the model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from features.domain.license_number import dealer_key
from features.domain.spreadsheet_formulas import neutral_row
from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.contract.field.decisions import OVERRIDE_WORDS, DecisionRequest
from serving.contract.records.lists import DecisionRecord, ListDocument, ListRowRecord
from serving.errors import ConflictError, UnknownDealerError, UnknownListError
from serving.lists.issued import document_for, stored_bytes
from serving.lists.work import assignments_of
from serving.runtime import Runtime
from serving.scores.areas import is_own
from serving.store import journal
from serving.store.database import Store, instant, spaced_id
from serving.store.rows import picked
from serving.store.tables import DECISIONS

# What a training judges. Who decided and what they noted stay in the store: rivals are inspectors
# as a body, never one of them.
_EXPORTED: Final = ("list_id", "dealer", "decision", "reason", "priority", "at")


def decide(
    runtime: Runtime,
    principal: Principal,
    request: DecisionRequest,
    *,
    purpose: str,
    looked_at: str | None = None,
) -> DecisionRecord:
    """Keep a decision about a dealer of a list with its record.

    Somebody to whom a dealer of another's list was handed decides about that dealer, within their
    own area, without seeing the list.

    The same person saying the same again changes nothing. Anything else said of a dealer that was
    decided about is a revision: both are kept, the later stands, and the answer names the earlier.

    Parameters
    ----------
    looked_at : str, optional
        The instant of what the decision rests on. What somebody else decided about the dealer
        since, on whichever list, is then not taken back unseen.

    Raises
    ------
    UnknownListError, UnknownDealerError
        When the list is not the caller's to read, or the dealer is not on it for the caller.
    ConflictError
        When somebody else has decided since `looked_at`.
    """
    scope = runtime.scope(principal)
    row = scope.row(request.dealer)
    is_gone = scope.view.is_gone(request.dealer)
    dealer = None if row is None else str(scope.view.snapshot.columns["dealer"][row])
    if is_gone:
        dealer = dealer_key(request.dealer) or request.dealer
    document = _document(runtime, principal, request.list_id, dealer)
    listed = next((line for line in document["rows"] if line["dealer"] == dealer), None)
    # Of what the newest table has no more, the list says where it was.
    if listed is None or (is_gone and not was_own(listed, principal)):
        raise UnknownDealerError("There is no such dealer on that list.")
    kept = {
        "list_id": request.list_id,
        "dealer": listed["dealer"],
        "decision": request.decision,
        "reason": request.reason or "",
        "note": request.note,
        "legal_basis": "",
        "priority": listed["priority"],
        "who": principal.name,
        "at": instant(),
    }
    ledger = runtime.ledger(principal, purpose=purpose, list_id=request.list_id)
    with runtime.store.write() as connection:
        journal.lock(connection)
        if looked_at is not None:
            _check_seen(connection, listed["dealer"], principal, looked_at)
        last = connection.execute(_decided(request.list_id, listed["dealer"])).first()
        said = ("decision", "reason", "note", "who")
        if last is not None and all(last._mapping[name] == kept[name] for name in said):
            ledger.add(connection, "decisions", f"{kept['dealer']} {request.decision}")
            before = connection.execute(
                _decided(request.list_id, listed["dealer"], before=last.decision_id)
            ).first()
            return _shown(dict(last._mapping), before)
        key = spaced_id(connection, DECISIONS.c.decision_id)
        connection.execute(DECISIONS.insert(), {"decision_id": key, **kept})
        subject = f"{kept['dealer']} {request.decision}"
        journal.note(connection, "decision", str(key), [listed["dealer"]])
        ledger.add(connection, "decisions", subject, kept=kept_now(connection, "decision", key))
    return _shown({"decision_id": key} | kept, last)


def _check_seen(
    connection: sa.Connection, dealer: str, principal: Principal, looked_at: str
) -> None:
    query = sa.select(DECISIONS).where(
        DECISIONS.c.dealer == dealer, DECISIONS.c.at > looked_at, DECISIONS.c.who != principal.name
    )
    newer = connection.execute(query.order_by(DECISIONS.c.decision_id.desc()).limit(1)).first()
    if newer is None:
        return
    made = "accepted" if newer.decision == "accept" else "overridden"
    reason = OVERRIDE_WORDS.get(newer.reason, newer.reason).lower()
    raise ConflictError(
        "Somebody else has decided about this dealer since you looked: nothing was kept.",
        found=f"{made} by {newer.who}{': ' + reason if reason else ''}",
        fix="look at it as it is now, then decide",
    )


def was_own(listed: ListRowRecord, principal: Principal) -> bool:
    """Whether a dealer lay within somebody's area when a list was issued."""
    place = {name: np.array([listed.get(name)]) for name in ("dealer", "office", "division")}
    return bool(is_own(place, principal)[0])


def _document(
    runtime: Runtime, principal: Principal, list_id: str, dealer: str | None
) -> ListDocument:
    """Return a list that a caller may read, or of which a dealer they see was handed to them."""
    try:
        return document_for(runtime, principal, list_id)
    except UnknownListError:
        if dealer is None or assignments_of(runtime.store, list_id).get(dealer) != principal.name:
            raise
        issued: ListDocument = json.loads(stored_bytes(runtime.store, list_id))
        return issued


def _decided(list_id: str, dealer: str, *, before: int | None = None) -> sa.Select[tuple[Any, ...]]:
    """Return the query for the newest decision about a dealer of a list, or the newest before."""
    query = sa.select(DECISIONS).where(DECISIONS.c.list_id == list_id, DECISIONS.c.dealer == dealer)
    if before is not None:
        query = query.where(DECISIONS.c.decision_id < before)
    return query.order_by(DECISIONS.c.decision_id.desc()).limit(1)


def _shown(kept: Mapping[str, Any], revised: sa.Row[Any] | None) -> DecisionRecord:
    number = None if revised is None else int(revised.decision_id)
    return picked(DecisionRecord, {**kept, "revises": number})


def to_csv(store: Store, *, hidden: frozenset[str]) -> tuple[bytes, int]:
    """Return the decisions in the order kept, as training reads them, and how many there are.

    Those about dealers hidden from whoever takes the file stay out.
    """
    query = sa.select(*(DECISIONS.c[name] for name in _EXPORTED)).order_by(DECISIONS.c.decision_id)
    with store.read() as connection:
        rows = [row for row in connection.execute(query) if row.dealer not in hidden]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_EXPORTED)
    writer.writerows(neutral_row(row) for row in rows)
    return out.getvalue().encode("utf-8"), len(rows)
