"""What comes back from the field and what is fed in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic_core import to_json
from starlette.responses import Response

from features.domain.asof import from_numpy, parse_date
from features.reference.allowance import CONSUMING_KINDS
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.field import (
    DecisionAnswer,
    DecisionRequest,
    EventsAnswer,
    EventsRequest,
    OutcomeAnswer,
    OutcomeRequest,
)
from serving.errors import LegalGateError, UnknownDealerError
from serving.field import events as event_rows
from serving.field import outcomes, referrals
from serving.field.ordered import investigator_token
from serving.field.rescoring import touched
from serving.lists.decisions import decide
from serving.scores.snapshot import Snapshot

router = APIRouter(prefix="/v1", tags=["field"])
_DESIGN: Final = ("selected_by", "list_id", "why", "inclusion_probability", "is_mandatory")


@router.post(
    "/decisions",
    response_model=DecisionAnswer,
    responses=responses(404),
    summary="Accept or override a listed dealer",
)
async def decisions(
    body: DecisionRequest, caller: Annotated[Caller, Depends(allow("decisions"))]
) -> Response:
    """Keep what the field thinks of a place on the list; it is judged at the next retraining."""
    purpose = caller.purpose(body.purpose)
    answer = await asyncio.to_thread(
        decide, caller.runtime, caller.principal, body, purpose=purpose
    )
    return json_answer(to_json(answer))


@router.post(
    "/outcomes",
    response_model=OutcomeAnswer,
    responses=responses(404, 409),
    summary="What an inspection found",
)
async def outcome(
    body: OutcomeRequest, caller: Annotated[Caller, Depends(allow("outcomes"))]
) -> Response:
    """Keep an outcome. The legal gate feels it at once; closed, it is a label from tomorrow on."""
    purpose = caller.purpose(body.purpose)
    answer = await asyncio.to_thread(_keep_outcome, caller, body, purpose)
    return json_answer(to_json(answer))


def _keep_outcome(caller: Caller, body: OutcomeRequest, purpose: str) -> dict[str, Any]:
    runtime, scope = caller.runtime, caller.scope
    row = scope.row(body.dealer)
    if row is None:
        raise UnknownDealerError("There is no such dealer within your area.")
    dealer = str(scope.view.snapshot.columns["dealer"][row])

    def gate(known: Sequence[outcomes.Kept]) -> None:
        if body.legal_basis is None:
            _check_gate(outcomes.apply_outcomes(scope.view.snapshot, known), row, body, known=known)

    today = datetime.now(UTC).date()
    name = caller.principal.name
    author = outcomes.Author(
        name,
        investigator_token(runtime.audit_key, name),
        str(scope.view.snapshot.columns["office"][row] or ""),
        ledger=runtime.ledger(caller.principal, purpose=purpose, list_id=body.list_id or ""),
    )
    kept = outcomes.keep(runtime.store, body, dealer=dealer, who=author, today=today, gate=gate)
    runtime.follow()
    closed = kept.document["closed_on"]
    return {
        "inspection_id": kept.inspection_id,
        "version": kept.version,
        "dealer": dealer,
        "eligible_on": from_numpy(runtime.snapshot.columns["eligible_on"][row]),
        "is_label": closed is not None and parse_date(closed) <= today,
        **{name: kept.document.get(name) for name in _DESIGN},
        "at": kept.at,
    }


def _check_gate(
    snapshot: Snapshot, row: int, body: OutcomeRequest, *, known: Sequence[outcomes.Kept]
) -> None:
    """Ask for a legal basis when the visit came before the law allowed it."""
    if body.kind not in CONSUMING_KINDS:
        return
    allowed = from_numpy(snapshot.columns["eligible_on"][row])
    last = from_numpy(snapshot.columns["last_inspected_on"][row])
    is_same_visit = last == body.opened_on or any(
        kept.inspection_id == body.inspection_id for kept in known
    )
    if allowed is not None and body.opened_on < allowed and not is_same_visit and last is not None:
        # A visit before the last one known is history told late, not a second visit within a year.
        if body.opened_on < last:
            return
        raise LegalGateError(
            "The dealer had been inspected in the twelve months before.",
            found=f"opened on {body.opened_on}, eligible on {allowed}",
            expected="a legal_basis for a visit within the twelve months",
        )


@router.post(
    "/events",
    response_model=EventsAnswer,
    responses=responses(),
    summary="New traces, reports or seizures",
)
async def events(
    body: EventsRequest, caller: Annotated[Caller, Depends(allow("events"))]
) -> Response:
    """Keep new rows and rescore the dealers they touch within seconds.

    The rows are durable when this is answered. Rows that break the data contract are named with
    its reason codes and do not stop the others.
    """
    purpose = caller.purpose(body.purpose)
    answer = await asyncio.to_thread(_keep_events, caller, body, purpose)
    return json_answer(to_json(answer))


def _keep_events(caller: Caller, body: EventsRequest, purpose: str) -> dict[str, Any]:
    runtime = caller.runtime
    checked = event_rows.check_rows(body.table, body.rows, today=datetime.now(UTC).date())
    ledger = runtime.ledger(caller.principal, purpose=purpose)
    warehouse = runtime.settings.home / "warehouse"
    ids, n_known = event_rows.keep(
        runtime.store, body.table, checked.rows, ledger=ledger, warehouse=warehouse
    )
    patterns = referrals.find(runtime.store, warehouse, body.table, checked.rows)
    n_referrals = referrals.queue(runtime.store, patterns, ledger=ledger)
    if ids:
        runtime.wake_rescorer()
    return {
        "table": body.table,
        "n_stored": len(ids),
        "n_known": n_known,
        "rejected": checked.rejected,
        # A lead's dealer is not named to the feed that sent it: it may be held from it.
        "pending": touched(checked.rows) if ids else [],
        "n_referrals": n_referrals,
    }
