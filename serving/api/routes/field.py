"""What comes back from the field and what is fed in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic_core import to_json
from starlette.responses import Response

from features.domain.asof import parse_date
from models.severity import is_independent
from serving import clock
from serving.access.audit.writer import subjects
from serving.api.callers import Caller, allow, json_answer, responses
from serving.api.tags import AS_BEFORE, Known, tagged_json
from serving.contract.answers import DealerKey, Identifier, ListId
from serving.contract.field.decisions import DecisionAnswer, DecisionRequest
from serving.contract.field.events import EventsAnswer, EventsRequest
from serving.contract.field.kept_records import (
    KeptDecision,
    KeptDecisions,
    KeptOutcome,
    KeptOutcomes,
)
from serving.contract.field.outcomes import OutcomeAnswer, OutcomeRequest
from serving.contract.records.field import (
    DecisionsDocument,
    EventsDocument,
    OutcomeRecord,
    OutcomesDocument,
)
from serving.errors import (
    ConflictError,
    LegalGateError,
    ServingError,
    UnknownDealerError,
    UnknownListError,
    UnknownPlanError,
)
from serving.field import read_back as reading
from serving.field.dealer_places import DealerPlaces
from serving.field.events import events as event_rows
from serving.field.events.event_refusals import refused_for_others
from serving.field.events.rescoring import touched
from serving.field.outcomes import outcome_rules, outcomes
from serving.field.outcomes.inspected_dealer import Inspected, inspected
from serving.field.outcomes.inspection_on_record import OnRecord, as_recorded
from serving.field.outcomes.ordering_list import design_of, investigator_token
from serving.field.referrals import referrals
from serving.lists.decisions import decide

router = APIRouter(prefix="/v1", tags=["field"])


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
    """Keep an outcome. The legal gate feels it at once; closed, it is a record from tomorrow on."""
    purpose = caller.purpose(body.purpose)
    answer = await asyncio.to_thread(_keep_outcome, caller, body, purpose)
    return json_answer(to_json(answer))


def inspected_by(caller: Caller, asked: str, *, with_names: bool = False) -> Inspected:
    """Return the dealer that a visit was to, also one that left the newest listing.

    Raises
    ------
    UnknownDealerError
        When there is none within the caller's area.
    """
    warehouse = caller.runtime.settings.home / "warehouse"
    found = inspected(caller.scope, caller.principal, warehouse, asked, with_names=with_names)
    if found is None:
        raise UnknownDealerError(
            "There is no such dealer within your area.", fix="search by name or number"
        )
    return found


def _keep_outcome(caller: Caller, body: OutcomeRequest, purpose: str) -> OutcomeRecord:
    runtime, scope = caller.runtime, caller.scope
    one = inspected_by(caller, body.dealer)
    dealer = one.dealer
    warehouse = runtime.settings.home / "warehouse"
    records = outcome_rules.recorded(warehouse, dealer)

    def gate(versions: Sequence[outcomes.Kept]) -> str:
        return outcome_rules.legal_basis(
            scope.view.snapshot, one.row, body, versions=versions, records=records
        )

    asked = outcome_rules.checked(runtime.store, warehouse, body, dealer)
    kept = outcomes.keep(
        runtime.store, asked, dealer=dealer, who=_author(caller, one, body, purpose),
        today=clock.latest_day(), gate=gate,
        in_records=as_recorded(warehouse, asked.inspection_id, dealer),
    )  # fmt: skip
    runtime.follow()
    closed = kept.document["closed_on"]
    snapshot = runtime.snapshot  # as it is by now: rows may have moved
    with runtime.store.read() as connection:
        versions = outcomes.versions_of(connection, dealer)
    return {
        "inspection_id": kept.inspection_id,
        "version": kept.version,
        "dealer": dealer,
        "eligible_on": outcome_rules.allowed_from(
            snapshot, snapshot.row_of.get(dealer), versions=versions, records=records
        ),
        "is_label": closed is not None
        and parse_date(closed) <= clock.latest_day()
        and is_independent(kept.document["kind"], kept.document["selected_by"]),
        "selected_by": kept.document["selected_by"],
        "list_id": kept.document.get("list_id"),
        "plan_id": kept.document.get("plan_id"),
        "why": kept.document.get("why"),
        "inclusion_probability": kept.document.get("inclusion_probability"),
        "is_mandatory": kept.document.get("is_mandatory"),
        "at": kept.at,
        "replaces_record_of": parse_date(kept.records_since) if kept.records_since else None,
    }


def _author(caller: Caller, one: Inspected, body: OutcomeRequest, purpose: str) -> outcomes.Author:
    runtime, name = caller.runtime, caller.principal.name
    return outcomes.Author(
        name,
        investigator_token(runtime.audit_key, name),
        one.office,
        ledger=runtime.ledger(caller.principal, purpose=purpose, list_id=body.list_id or ""),
    )


def preview(caller: Caller, body: OutcomeRequest) -> tuple[OnRecord | None, Mapping[str, Any]]:
    """Return how an inspection stands, and what would be kept of it, without keeping it."""
    one = inspected_by(caller, body.dealer)
    warehouse = caller.runtime.settings.home / "warehouse"
    cited = outcome_rules.each_once(body.violations)
    body = body.model_copy(update={"violations": cited})
    return outcomes.preview(
        caller.runtime.store, body, dealer=one.dealer,
        who=_author(caller, one, body, caller.purpose()),
        in_records=as_recorded(warehouse, body.inspection_id, one.dealer),
    )  # fmt: skip


def refusals(caller: Caller, body: OutcomeRequest) -> list[ServingError]:
    """Return what would refuse an outcome by law or by the list that ordered it, all at once."""
    runtime, scope = caller.runtime, caller.scope
    one = inspected_by(caller, body.dealer)
    records = outcome_rules.recorded(runtime.settings.home / "warehouse", one.dealer)
    with runtime.store.read() as connection:
        versions = outcomes.versions_of(connection, one.dealer)
    told = body.model_dump(mode="json") | {"dealer": one.dealer}
    found: list[ServingError] = []
    try:
        outcome_rules.legal_basis(
            scope.view.snapshot, one.row, body, versions=versions, records=records
        )
    except LegalGateError as error:
        found.append(error)
    try:
        with runtime.store.read() as connection:
            design_of(connection, told, dealer=one.dealer)
    except (ConflictError, UnknownListError, UnknownPlanError) as error:
        found.append(error)
    return found


_After = Annotated[int, Query(ge=0, le=2**53, description="`next_cursor` of the last answer")]
_Limit = Annotated[int, Query(ge=1, le=1_000)]
_Dealer = Annotated[DealerKey | None, Query(description="Those about one dealer")]
_List = Annotated[ListId | None, Query(description="Those of one list")]


@router.get(
    "/decisions",
    response_model=KeptDecisions,
    responses=responses(),
    summary="Decisions that are kept",
)
async def read_decisions(
    caller: Annotated[Caller, Depends(allow("decisions_read"))],
    cursor: _After = 0,
    limit: _Limit = 200,
    dealer: _Dealer = None,
    list_id: _List = None,
) -> Response:
    """Return decisions about dealers of the caller's area, in order; an inspector's own alone."""
    purpose = caller.purpose()
    of = {"dealer": _key(caller, dealer), "list_id": list_id}
    found, following = await asyncio.to_thread(
        reading.decision_page, caller.runtime.store, caller.principal, _places(caller),
        after=cursor, limit=limit, of=of,
    )  # fmt: skip
    await caller.record(subjects({one["dealer"] for one in found}), purpose=purpose)
    answer: DecisionsDocument = {"decisions": found, "next_cursor": following}
    return json_answer(to_json(answer))


@router.get(
    "/decisions/{decision_id}",
    response_model=KeptDecision,
    responses={**responses(404), **AS_BEFORE},
    summary="A decision as kept",
)
async def read_decision(
    decision_id: Annotated[int, Path(ge=1, le=2**53, description="The decision's number")],
    caller: Annotated[Caller, Depends(allow("decisions_read"))],
    known: Known = None,
) -> Response:
    """Return one decision; it never changes."""
    purpose = caller.purpose()
    found = await asyncio.to_thread(
        reading.decision_of, caller.runtime.store, caller.principal, _places(caller), decision_id
    )
    await caller.record(found["dealer"], purpose=purpose, list_id=found["list_id"])
    return tagged_json(to_json(found), known)


@router.get(
    "/outcomes",
    response_model=KeptOutcomes,
    responses=responses(),
    summary="Outcomes that are kept",
)
async def read_outcomes(
    caller: Annotated[Caller, Depends(allow("outcomes_read"))],
    cursor: _After = 0,
    limit: _Limit = 200,
    dealer: _Dealer = None,
    list_id: _List = None,
) -> Response:
    """Return outcomes of dealers of the caller's area, every version, in order."""
    purpose = caller.purpose()
    of = {"dealer": _key(caller, dealer), "list_id": list_id}
    found, following = await asyncio.to_thread(
        reading.outcome_page,
        caller.runtime.store,
        _places(caller),
        after=cursor,
        limit=limit,
        of=of,
    )
    await caller.record(subjects({one["dealer"] for one in found}), purpose=purpose)
    disclaimers = caller.scope.view.snapshot.disclaimers
    answer: OutcomesDocument = {
        "outcomes": found,
        "next_cursor": following,
        "disclaimers": disclaimers,
    }
    return json_answer(to_json(answer))


@router.get(
    "/outcomes/{inspection_id}",
    response_model=KeptOutcome,
    responses={**responses(404), **AS_BEFORE},
    summary="An outcome as kept",
)
async def read_outcome(
    inspection_id: Annotated[Identifier, Path(description="The inspection's number")],
    caller: Annotated[Caller, Depends(allow("outcomes_read"))],
    version: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="The newest when absent")
    ] = None,
    known: Known = None,
) -> Response:
    """Return a version of what an inspection found, by default the newest."""
    purpose = caller.purpose()
    found = await asyncio.to_thread(
        reading.outcome_of, caller.runtime.store, _places(caller), inspection_id, version
    )
    await caller.record(found["dealer"], purpose=purpose, list_id=found["list_id"] or "")
    return tagged_json(to_json(found), known)


def _key(caller: Caller, dealer: str | None) -> str | None:
    """Return the key of a dealer within the caller's area; what is none there matches nothing."""
    if dealer is None:
        return None
    warehouse = caller.runtime.settings.home / "warehouse"
    found = inspected(caller.scope, caller.principal, warehouse, dealer)
    return "" if found is None else found.dealer


def _places(caller: Caller) -> DealerPlaces:
    """Return where dealers lie for a caller, also those that left the newest listing."""
    warehouse = caller.runtime.settings.home / "warehouse"
    return DealerPlaces(caller.scope, caller.principal, warehouse)


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
    its reason codes and do not stop the others. Of rows that say different things of one key and
    day none is kept, and none that contradicts what is kept.
    """
    purpose = caller.purpose(body.purpose)
    answer = await asyncio.to_thread(_keep_events, caller, body, purpose)
    return json_answer(to_json(answer))


def _keep_events(caller: Caller, body: EventsRequest, purpose: str) -> EventsDocument:
    runtime = caller.runtime
    checked = event_rows.check_rows(body.table, body.rows, today=clock.today())
    ledger = runtime.ledger(caller.principal, purpose=purpose)
    warehouse = runtime.settings.home / "warehouse"
    kept = event_rows.keep(
        runtime.store, body.table, checked.rows, ledger=ledger, warehouse=warehouse
    )
    rows = [row for n, row in enumerate(checked.rows) if n not in kept.clashes]
    clashing = (
        refused_for_others(
            body.table,
            checked.places[n],
            [checked.places[other] for other in others if other != event_rows.KEPT_BEFORE],
            is_of_kept=event_rows.KEPT_BEFORE in others,
        )
        for n, others in kept.clashes.items()
    )
    patterns = referrals.find(runtime.store, warehouse, body.table, rows)
    n_referrals = referrals.queue(runtime.store, patterns, ledger=ledger)
    if kept.ids:
        runtime.wake_rescorer()
    return {
        "table": body.table,
        "n_stored": len(kept.ids),
        "n_known": kept.n_known,
        "rejected": sorted([*checked.rejected, *clashing], key=lambda one: one["row"]),
        # A lead's dealer is not named to the feed that sent it: it may be held from it.
        "pending": touched(rows) if kept.ids else [],
        "n_referrals": n_referrals,
    }
