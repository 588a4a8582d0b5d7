"""Requests for named dealers in a case: asked, approved by a person named, answered, expired.

Only the rows that the approver approved are ever answered, only to who asked, and only until the
day that was asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from features.domain.license_number import dealer_key
from serving import clock
from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger, subjects
from serving.access.people import people
from serving.access.roles import LEADS
from serving.contract.records.dealers import PremisesRecord
from serving.contract.records.referrals import CaseRecord
from serving.errors import (
    CaseExpiredError,
    ConflictError,
    InvalidRequestError,
    UnknownCaseError,
)
from serving.scores.table.loaded_table import premises
from serving.scores.visible_dealers import Scope
from serving.store import journal
from serving.store.database import Store, instant
from serving.store.tables import CASE_REQUESTS

_NO_CASE: Final = "There is no such case request, or it is not yours."


@dataclass(frozen=True)
class Asked:
    """What a case request says.

    Parameters
    ----------
    days : int
        How long it is answered after it was asked.
    """

    case_reference: str
    legal_basis: str
    agency: str
    why: str
    dealers: tuple[str, ...]
    approver: str
    days: int


def ask(store: Store, asked: Asked, *, ledger: Ledger) -> CaseRecord:
    """Keep a request, with the record of it.

    Raises
    ------
    InvalidRequestError
        When the approver is nobody who may approve, or is who asks, or a dealer is neither a key
        nor a license number.
    """
    if asked.approver == ledger.base.who:
        raise InvalidRequestError("Nobody approves a request of their own.")
    dealers = sorted({_key(dealer) for dealer in asked.dealers})
    now = clock.now()
    row = {
        "request_id": f"C-{clock.today():%Y%m%d}-{secrets.token_hex(6)}",
        "case_reference": asked.case_reference,
        "legal_basis": asked.legal_basis,
        "agency": asked.agency,
        "why": asked.why,
        "dealers": dealers,
        "who": ledger.base.who,
        "at": instant(now),
        "approver": asked.approver,
        "expires_at": instant(now + timedelta(days=asked.days)),
    }
    with store.write() as connection:
        journal.note_key(connection, str(row["request_id"]))
        if asked.approver not in people(connection, [asked.approver], LEADS):
            raise InvalidRequestError(
                "A case request needs an approver.",
                expected="the account of a supervisor, or oidc:NAME of one who has signed in here",
            )
        connection.execute(CASE_REQUESTS.insert(), row)
        kept = kept_now(connection, "case_request", str(row["request_id"]))
        subject = f"{row['request_id']} ask {asked.case_reference} {subjects(row['dealers'])}"
        ledger.add(connection, "case_request", subject, kept=kept)
    return _whole(row)


def decide(
    store: Store,
    request_id: str,
    *,
    approved: Sequence[str],
    note: str,
    scope: Scope,
    ledger: Ledger,
) -> CaseRecord:
    """Approve some of the dealers asked for, or none, with the record of it.

    Raises
    ------
    UnknownCaseError
        When there is no such request, or the caller is not its approver.
    ConflictError, CaseExpiredError
        When it was decided already, or its time is over.
    InvalidRequestError
        When a dealer is approved that was not asked for, or that the approver does not see.
    """
    which = CASE_REQUESTS.c.request_id == request_id
    with store.write() as connection:
        journal.lock(connection)  # of two decisions at once the second finds the first
        row = connection.execute(sa.select(CASE_REQUESTS).where(which)).first()
        if row is None or row.approver != ledger.base.who:
            raise UnknownCaseError(_NO_CASE)
        _check_time(row._mapping)
        if row.decided_at is not None:
            raise ConflictError("The request was decided already.", found=row.decided_at)
        chosen = sorted({_key(dealer) for dealer in approved})
        unseen = [dealer for dealer in chosen if scope.row(dealer) is None]
        # Requests of earlier versions have dealers as they were typed.
        if unseen or not set(chosen) <= {dealer_key(dealer) for dealer in row.dealers}:
            raise InvalidRequestError(
                "Only dealers that were asked for and that you see can be approved."
            )
        journal.note_key(connection, request_id)
        values = {"approved": chosen, "decided_at": instant(), "decision_note": note}
        connection.execute(CASE_REQUESTS.update().where(which).values(**values))
        kept = kept_now(connection, "case_request", request_id)
        subject = f"{request_id} approve {subjects(chosen)}"
        ledger.add(connection, "case_request", subject, kept=kept)
    return _whole({**row._mapping, **values})


def answer(
    store: Store, principal: Principal, scope: Scope, request_id: str
) -> tuple[CaseRecord, list[PremisesRecord]]:
    """Return a request and the approved rows: to who asked; its approver sees what was asked.

    Raises
    ------
    UnknownCaseError
        When there is none, or it is neither asked nor approved by the caller.
    CaseExpiredError
        When its time is over.
    """
    with store.read() as connection:
        query = sa.select(CASE_REQUESTS).where(CASE_REQUESTS.c.request_id == request_id)
        row = connection.execute(query).first()
    if row is None or principal.name not in {row.who, row.approver}:
        raise UnknownCaseError(_NO_CASE)
    _check_time(row._mapping)
    columns = scope.view.snapshot.columns
    rows: list[PremisesRecord] = []
    for dealer in row.approved or ():
        # A case reaches beyond the caller's area by its approval, but no hold.
        found = scope.view.row(dealer)
        if found is not None:
            # Facts about premises; a case gets no score.
            rows.append(premises(columns, found))
    # Approved and not there would tell of a hold: it is as if it had not been approved.
    approved = None if row.approved is None else [one["dealer"] for one in rows]
    return _whole({**row._mapping, "approved": approved}), rows


def _key(dealer: str) -> str:
    """Return the key of a dealer as it was typed: what a hold is about, and the audit hides."""
    key = dealer_key(dealer)
    if key is None:
        raise InvalidRequestError(
            "A case request names its dealers.", expected="dealer keys or license numbers"
        )
    return key


def _check_time(row: Mapping[str, Any] | sa.RowMapping) -> None:
    if row["expires_at"] <= instant():
        raise CaseExpiredError(
            "The case request has expired.",
            found=f"on {row['expires_at']}",
            fix="ask anew, with a reason that holds today",
        )


def _whole(row: Mapping[str, Any] | sa.RowMapping) -> CaseRecord:
    approved = row.get("approved")
    status = "asked" if row.get("decided_at") is None else "approved" if approved else "refused"
    return {
        "request_id": row["request_id"],
        "case_reference": row["case_reference"],
        "legal_basis": row["legal_basis"],
        "agency": row["agency"],
        "why": row["why"],
        "dealers": row["dealers"],
        "who": row["who"],
        "at": row["at"],
        "approver": row["approver"],
        "expires_at": row["expires_at"],
        "status": status,
        "approved": list(approved or ()),
        "decided_at": row.get("decided_at"),
        "decision_note": row.get("decision_note") or "",
    }
