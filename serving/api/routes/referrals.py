"""Referrals and their steps, case requests, and who answers for what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path as FilePath
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic_core import to_json
from starlette.responses import Response

from serving import clock
from serving.access.audit.writer import subjects
from serving.access.people import as_kept, one_known
from serving.access.roles import ACCESS, LEADS
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.field.referral import (
    CaseAnswer,
    CaseDecision,
    CaseRequest,
    ReferralAnswer,
    Referrals,
    ResponsibilityAnswer,
    StepRequest,
)
from serving.contract.records.dealers import PremisesRecord
from serving.contract.records.referrals import (
    CaseDocument,
    CaseRecord,
    ReferralDocument,
    ReferralRecord,
    ResponsibilitiesDocument,
    ResponsibleRecord,
    StandingRecord,
)
from serving.errors import InvalidRequestError, UnknownReferralError
from serving.field.dealer_places import DealerPlaces
from serving.field.referrals import case_requests, referral_life, referrals, responsibility
from serving.runtime import Runtime
from serving.scores.visible_dealers import Scope
from serving.store.result_pages import AT_ONCE, page

router = APIRouter(prefix="/v1", tags=["referrals"])
_ReferralId = Annotated[int, Path(ge=1, le=2**62, description="The referral's number")]
_CaseId = Annotated[str, Path(pattern=r"^C-\d{8}-[0-9a-f]{12}$", description="The request's id")]
_MOST: Final = 1_000
# What a pattern is a subject of, to find whom to call.
_SUBJECT = {"fast_recovery": "southbound_trafficking"}


@router.get(
    "/referrals",
    response_model=Referrals,
    responses=responses(),
    summary="Patterns of on-going straw purchases, for agents at once",
)
async def referral_queue(
    caller: Annotated[Caller, Depends(allow("referrals"))],
    cursor: Annotated[int | None, Query(ge=1, le=2**62, description="`next_cursor`")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
) -> Response:
    """Return the referrals that touch the caller's area, newest first."""
    purpose = caller.purpose()
    found, has_more = await asyncio.to_thread(queue_page, caller, limit=limit, before=cursor)
    await caller.record(subjects(d for one in found for d in one["dealers"]), purpose=purpose)
    answer = {
        "referrals": found,
        "next_cursor": found[-1]["referral_id"] if has_more else None,
        "statement": referrals.STATEMENT,
        "disclaimers": caller.runtime.snapshot.disclaimers,
    }
    return json_answer(to_json(answer))


@router.get(
    "/referrals/{referral_id}",
    response_model=ReferralAnswer,
    responses=responses(404),
    summary="One referral with its life",
)
async def read_referral(
    referral_id: _ReferralId, caller: Annotated[Caller, Depends(allow("referrals"))]
) -> Response:
    """Return a referral, its steps, and whom to call about it."""
    purpose = caller.purpose()
    answer = await asyncio.to_thread(referral_for, caller, referral_id)
    await caller.record(f"{referral_id} {subjects(answer['dealers'])}", purpose=purpose)
    return json_answer(to_json(answer))


@router.post(
    "/referrals/{referral_id}/steps",
    response_model=ReferralAnswer,
    responses=responses(404, 409),
    summary="Take, hand over or close a referral",
)
async def take_step(
    referral_id: _ReferralId,
    body: StepRequest,
    caller: Annotated[Caller, Depends(allow("referral_steps"))],
) -> Response:
    """Keep a step; a closed referral stays closed. A suspect sale is never let go on."""
    purpose = caller.purpose(body.purpose)
    answer = await asyncio.to_thread(make_step, caller, referral_id, body, purpose)
    return json_answer(to_json(answer))


def make_step(
    caller: Caller, referral_id: int, body: StepRequest, purpose: str
) -> ReferralDocument:
    """Take a step for a caller and return the referral as it then stands."""
    referral = referral_for(caller, referral_id)  # theirs to see at all
    to_who = body.to_who.strip()
    if body.step == "hand_over" and to_who:
        to_who = _taker(caller.runtime, referral, to_who)
    referral_life.step(
        caller.runtime.store,
        referral_id,
        referral_life.Step(body.step, body.to_agency, to_who, body.result or "", body.note),
        is_lead=caller.principal.role in LEADS,
        ledger=caller.runtime.ledger(caller.principal, purpose=purpose),
    )
    return referral_for(caller, referral_id)


def _taker(runtime: Runtime, referral: StandingRecord, name: str) -> str:
    """Return the account that a referral is handed to, as it signs in.

    Raises
    ------
    InvalidRequestError
        When it would be handed to nobody, or to somebody who does not see it.
    """
    name = as_kept(name)
    who = one_known(runtime.store, name, ACCESS["referral_steps"])
    if who is None:
        raise InvalidRequestError(
            f"No agent or supervisor signs in as {name}: nothing was handed over.",
            expected="the account of an agent or supervisor, or an agency",
        )
    scope = runtime.scope(who)
    if not _is_theirs(referral, scope, DealerPlaces(scope, who, _warehouse(runtime))):
        raise InvalidRequestError(
            f"The referral is not within the area of {name}: nothing was handed over.",
            expected="somebody of the dealer's area, or an agency",
        )
    return name


def queue_for(caller: Caller, places: DealerPlaces) -> list[ReferralRecord]:
    """Return the referrals that a caller may see, newest first."""
    return queue_page(caller, limit=_MOST, places=places)[0]


def queue_page(
    caller: Caller, *, limit: int, before: int | None = None, places: DealerPlaces | None = None
) -> tuple[list[ReferralRecord], bool]:
    """Return a page of the referrals that a caller may see, and whether more follow."""
    scope, places = caller.scope, places or places_of(caller)
    queue = referrals.queued(caller.runtime.store, before=before)

    def shown(one: StandingRecord) -> ReferralRecord | None:
        return _shown(one) if _is_theirs(one, scope, places) else None

    return page(_placed(queue, places), shown, limit)


def _placed(queue: Iterator[StandingRecord], places: DealerPlaces) -> Iterator[StandingRecord]:
    """Read on, the places of many referrals' dealers looked up at once."""
    while some := list(islice(queue, AT_ONCE)):
        places.look(dealer for one in some for dealer in one["dealers"])
        yield from some


def places_of(caller: Caller) -> DealerPlaces:
    """Return what knows where the dealers of referrals lie, whether they have a score or not."""
    return DealerPlaces(caller.scope, caller.principal, _warehouse(caller.runtime))


def _warehouse(runtime: Runtime) -> FilePath:
    return runtime.settings.home / "warehouse"


def referral_for(
    caller: Caller, referral_id: int, places: DealerPlaces | None = None
) -> ReferralDocument:
    """Return one referral with its steps and whom to call.

    Raises
    ------
    UnknownReferralError
        When there is none, or it is not the caller's to see.
    """
    store, places = caller.runtime.store, places or places_of(caller)
    found = referrals.one_of(store, referral_id)
    if found is None or not _is_theirs(found, caller.scope, places):
        raise UnknownReferralError("There is no such referral within your area.")
    return {
        **_shown(found),
        "steps": referral_life.steps_of(store, referral_id),
        "call": [_row(row) for row in _whom_to_call(caller, found, places)],
        "statement": referrals.STATEMENT,
        "disclaimers": caller.runtime.snapshot.disclaimers,
    }


def _is_theirs(referral: StandingRecord, scope: Scope, places: DealerPlaces) -> bool:
    # One held dealer hides the whole pattern: the others would show that it is there.
    dealers = referral["dealers"]
    return not scope.hidden & set(dealers) and any(map(places.is_theirs, dealers))


def _shown(one: StandingRecord) -> ReferralRecord:
    now = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    days = referral_life.days_of(one, now=now)
    return {**one, "status": referral_life.status_of(one), **days}


def _whom_to_call(
    caller: Caller, referral: StandingRecord, places: DealerPlaces
) -> list[responsibility.Responsibility]:
    rows = responsibility.table(caller.runtime.store)
    areas = []
    for dealer in filter(places.is_theirs, referral["dealers"]):
        areas += places.of(dealer).areas
    areas += [f"country:{referral['evidence'].get('recovery_country', '')}"]
    subject = _SUBJECT.get(referral["pattern"], "straw_purchases")
    if referral["destination"] == "domestic":
        subject = "straw_purchases"
    today = clock.today()
    return responsibility.whom_to_call(rows, areas, subject=subject, day=today)


def _row(row: responsibility.Responsibility) -> ResponsibleRecord:
    return {
        "agency": row.agency,
        "area": row.area,
        "subject": row.subject,
        "contact": row.contact,
        "starts_on": row.starts_on,
        "ends_on": row.ends_on,
    }


@router.post(
    "/case_requests",
    response_model=CaseAnswer,
    responses=responses(),
    summary="Ask for named dealers in a case",
)
async def ask_case(
    body: CaseRequest, caller: Annotated[Caller, Depends(allow("case_ask"))]
) -> Response:
    """Keep a request; nothing is answered before the person named approves."""
    purpose = caller.purpose(body.purpose)
    asked = case_requests.Asked(
        body.case_reference, body.legal_basis, body.agency, body.why, tuple(body.dealers),
        body.approver, body.days,
    )  # fmt: skip
    ledger = caller.runtime.ledger(caller.principal, purpose=purpose)
    kept = await asyncio.to_thread(case_requests.ask, caller.runtime.store, asked, ledger=ledger)
    return json_answer(to_json(_case(caller, kept, [])))


@router.post(
    "/case_requests/{request_id}/decision",
    response_model=CaseAnswer,
    responses=responses(404, 409),
    summary="Approve dealers of a case request",
)
async def decide_case(
    request_id: _CaseId,
    body: CaseDecision,
    caller: Annotated[Caller, Depends(allow("case_decide"))],
) -> Response:
    """Keep what the approver approves; nothing else is ever answered."""
    purpose = caller.purpose(body.purpose)
    ledger = caller.runtime.ledger(caller.principal, purpose=purpose)
    kept = await asyncio.to_thread(
        case_requests.decide, caller.runtime.store, request_id,
        approved=body.approved, note=body.note, scope=caller.scope, ledger=ledger,
    )  # fmt: skip
    return json_answer(to_json(_case(caller, kept, [])))


@router.get(
    "/case_requests/{request_id}",
    response_model=CaseAnswer,
    responses=responses(404, 409),
    summary="The approved rows of a case request",
)
async def read_case(
    request_id: _CaseId, caller: Annotated[Caller, Depends(allow("case_read"))]
) -> Response:
    """Return a request and its approved rows, until it expires."""
    purpose = caller.purpose()
    answer = await asyncio.to_thread(case_for, caller, request_id)
    dealers = subjects(row["dealer"] for row in answer["rows"])
    await caller.record(f"{request_id} {dealers}", purpose=purpose)
    return json_answer(to_json(answer))


def case_for(caller: Caller, request_id: str) -> CaseDocument:
    """Return a case request as it stands, as its asker or its approver sees it."""
    kept, rows = case_requests.answer(
        caller.runtime.store, caller.principal, caller.scope, request_id
    )
    return _case(caller, kept, rows)


def _case(caller: Caller, kept: CaseRecord, rows: list[PremisesRecord]) -> CaseDocument:
    return {**kept, "rows": rows, "disclaimers": caller.runtime.snapshot.disclaimers}


@router.get(
    "/responsibilities",
    response_model=ResponsibilityAnswer,
    responses=responses(),
    summary="Which agency answers for what, where",
)
async def read_responsibilities(
    caller: Annotated[Caller, Depends(allow("responsibilities"))],
) -> Response:
    """Return the dated table, with agencies that overlap and areas that nobody answers for."""
    answer = await asyncio.to_thread(responsibilities_for, caller)
    await caller.record("responsibilities")
    return json_answer(to_json(answer))


def responsibilities_for(caller: Caller) -> ResponsibilitiesDocument:
    """Return the table as it stands today."""
    rows = responsibility.table(caller.runtime.store)
    today = clock.today()
    columns = caller.runtime.snapshot.columns
    divisions = {f"division:{name}" for name in columns["division"].tolist() if name}
    return {
        "rows": [_row(row) for row in rows],
        "overlaps": [[_row(one) for one in pair] for pair in responsibility.overlaps(rows, today)],
        "gaps": responsibility.gaps(rows, divisions, today),
    }
