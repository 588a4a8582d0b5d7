"""Accepted and overridden places of a list: kept, and judged later as a rival of the model."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Final

import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.access.kept import kept_now
from serving.contract.field import DecisionRequest
from serving.errors import UnknownDealerError
from serving.lists.issued import readable
from serving.runtime import Runtime
from serving.store import journal
from serving.store.database import Store, instant
from serving.store.tables import DECISIONS

# What a training judges. Who decided and what they noted stay in the store: rivals are inspectors
# as a body, never one of them.
_EXPORTED: Final = ("list_id", "dealer", "decision", "reason", "priority", "at")


def decide(
    runtime: Runtime, principal: Principal, request: DecisionRequest, *, purpose: str
) -> dict[str, Any]:
    """Keep a decision about a dealer of a list with its record; a later one stands beside it.

    Raises
    ------
    UnknownListError, UnknownDealerError
        When the list is not the caller's to read, or the dealer is not on it for the caller.
    """
    document = json.loads(readable(runtime, principal, request.list_id))
    scope = runtime.scope(principal)
    row = scope.row(request.dealer)
    dealer = None if row is None else scope.view.snapshot.columns["dealer"][row]
    listed = next((line for line in document["rows"] if line["dealer"] == dealer), None)
    if listed is None:
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
        result = connection.execute(DECISIONS.insert(), kept)
        key = int((result.inserted_primary_key or [0])[0])
        subject = f"{kept['dealer']} {request.decision}"
        journal.note(connection, "decision", str(key), [listed["dealer"]])
        ledger.add(connection, "decisions", subject, kept=kept_now(connection, "decision", key))
    shown = ("list_id", "dealer", "decision", "reason", "at")
    return {"decision_id": key} | {name: kept[name] for name in shown}


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
    writer.writerows(rows)
    return out.getvalue().encode("utf-8"), len(rows)
