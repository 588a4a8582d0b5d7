"""Plans of an office's visits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic_core import to_json
from starlette.responses import Response

from serving.access.audit.writer import subjects
from serving.api.callers import Caller, allow, content_of, json_answer, responses
from serving.api.tags import AS_BEFORE, Known, is_known, not_modified, tag_of, tagged, tagged_json
from serving.contract.kept_plan import KeptPlan, KeptVisit, PlanId, PlanList
from serving.contract.plan import RULES, NotPlanned, PlanAnswer, PlanAsk, PlannedList
from serving.lists.to_plan import (
    ListedDealer,
    list_for_plan,
    listed_dealers,
    required,
    wanted,
    why_not_planned,
)
from serving.planning import Plan
from serving.planning.for_caller import plan_office
from serving.planning.kept import files
from serving.planning.kept.overrides import closed_dealers
from serving.planning.kept.store import plan_page, readable_plan
from serving.planning.kept.taken_back import dropped_visits
from serving.planning.start import given_start
from serving.scores.visible_dealers import Scope
from serving.store.result_pages import CURSOR

router = APIRouter(prefix="/v1", tags=["plans"])

# A plan, and the visits of its earlier versions that it has no more: a calendar takes them back.
_Write = Callable[[KeptPlan, Sequence[KeptVisit]], bytes]
FILES: Final[Mapping[str, tuple[str, _Write]]] = {
    "ics": (
        "text/calendar; charset=utf-8",
        lambda plan, dropped: files.plan_ics(plan, dropped).encode(),
    ),
    "xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        lambda plan, _: files.plan_xlsx(plan),
    ),
    "pdf": ("application/pdf", lambda plan, _: files.plan_pdf(plan)),
}
_CONTENT: Final = content_of(media for media, _ in FILES.values())
_PlanPath = Annotated[PlanId, Path(description="The plan's id")]
_Version = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The newest when absent")]


@router.post(
    "/plan",
    response_model=PlanAnswer,
    responses=responses(404, 409),
    summary="Plan an office's visits",
)
async def plan(body: PlanAsk, caller: Annotated[Caller, Depends(allow("plan"))]) -> Response:
    """Choose and order visits for an office's hours; the same request gives the same plan.

    When no plan meets all rules, the refusal's `fix` names each rule to relax, and how far. With
    `from_list`, the office's dealers of a list are in it, or named with why they are not.
    """
    purpose = caller.purpose(body.purpose)
    answer, dealers = await caller.heavy(_plan, caller, body)
    await caller.record(subjects(dealers), purpose=purpose, list_id=body.from_list or "")
    return json_answer(to_json(answer))


def _plan(caller: Caller, body: PlanAsk) -> tuple[dict[str, Any], tuple[str, ...]]:
    caller.runtime.follow()
    scope = caller.scope
    office = scope.view.snapshot.spelling("office", body.office)
    body = body.model_copy(update={"office": office})
    start = given_start(body.start.latitude, body.start.longitude) if body.start else None
    listed = _listed(caller, scope, body)
    made = plan_office(
        scope,
        caller.principal,
        body.office,
        rules=body.model_dump(include=set(RULES))
        | {
            "draw": caller.runtime.draw(scope.view.snapshot.as_of),
            "later": tuple(sorted({_key(scope, dealer) for dealer in body.later})),
            "required": tuple(required(listed, body.require, body.office)),
        },
        home=caller.runtime.settings.home,
        starts_on=body.starts_on,
        start=start,
        closed=closed_dealers(caller.runtime.store),
    )
    snapshot = scope.view.snapshot
    found = asdict(made.plan)
    del found["listed_missing"]
    answer = found | {
        "basis": snapshot.basis,
        "office": body.office,
        "starts_on": made.request.starts_on,
        "start": {
            "latitude": made.request.latitude,
            "longitude": made.request.longitude,
            "what": made.request.start,
        },
        "yield_per_hour": made.plan.yield_per_hour,
        "from_list": _of_list(body, listed, made.plan),
        "disclaimers": snapshot.disclaimers,
    }
    return answer, made.plan.dealers


def _listed(caller: Caller, scope: Scope, body: PlanAsk) -> list[ListedDealer]:
    if not body.from_list:
        return []
    document = list_for_plan(caller.runtime, caller.principal, body.from_list)
    return wanted(listed_dealers(caller.runtime, scope.view, document), body.require)


def _of_list(body: PlanAsk, listed: list[ListedDealer], plan: Plan) -> PlannedList | None:
    if body.from_list is None:
        return None
    planned = set(plan.dealers)
    why = why_not_planned(listed, plan, body.office, planned)
    return PlannedList(
        list_id=body.from_list,
        require=body.require,
        planned=[one.dealer for one in listed if one.dealer in planned],
        not_planned=[NotPlanned(dealer=dealer, why=said) for dealer, said in why.items()],
    )


def _key(scope: Scope, asked: str) -> str:
    """Return the key of a dealer; what is none of the caller's stays as asked, to be refused."""
    row = scope.row(asked)
    return asked if row is None else str(scope.view.snapshot.columns["dealer"][row])


@router.get("/plans", response_model=PlanList, responses=responses(), summary="Plans that are kept")
async def read_plans(
    caller: Annotated[Caller, Depends(allow("plans"))],
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="`next_cursor`")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """Return the newest version of each plan that the caller may see: own, led, or handed over."""
    purpose = caller.purpose()
    store, scope = caller.runtime.store, caller.scope
    found, following = await asyncio.to_thread(
        plan_page, store, caller.principal, scope, limit=limit, cursor=cursor
    )
    await caller.record("plans", purpose=purpose)
    disclaimers = scope.view.snapshot.disclaimers
    answer = {"plans": found, "next_cursor": following, "disclaimers": disclaimers}
    return json_answer(to_json(answer))


# Before the route of the plan itself, which would take the file's name for an id.
@router.get(
    "/plans/{plan_id}.{kind}",
    responses={**responses(404), **AS_BEFORE, 200: {"content": _CONTENT}},
    response_class=Response,
    summary="A plan as a file",
)
async def read_plan_file(
    plan_id: _PlanPath,
    kind: Annotated[str, Path(pattern="^(ics|xlsx|pdf)$", description="ics, xlsx or pdf")],
    caller: Annotated[Caller, Depends(allow("plans"))],
    version: _Version = None,
    known: Known = None,
) -> Response:
    """Return a plan as calendar, spreadsheet or PDF."""
    kept = await _readable(caller, plan_id, version)
    media, write = FILES[kind]
    dropped = await asyncio.to_thread(dropped_visits, caller.runtime.store, caller.scope, kept)
    tag = tag_of(to_json([kept, dropped]), kind)
    if is_known(tag, known):
        return not_modified(tag)
    made = await caller.heavy(write, kept, dropped)
    disposition = f'attachment; filename="{plan_id}.{kind}"'
    headers = tagged(tag) | {"Content-Disposition": disposition}
    return Response(made, media_type=media, headers=headers)


@router.get(
    "/plans/{plan_id}",
    response_model=KeptPlan,
    responses={**responses(404), **AS_BEFORE},
    summary="A plan as kept",
)
async def read_plan(
    plan_id: _PlanPath,
    caller: Annotated[Caller, Depends(allow("plans"))],
    version: _Version = None,
    known: Known = None,
) -> Response:
    """Return a version of a plan, by default the newest."""
    return tagged_json(to_json(await _readable(caller, plan_id, version)), known)


async def _readable(caller: Caller, plan_id: str, version: int | None) -> KeptPlan:
    purpose = caller.purpose()
    kept = await asyncio.to_thread(
        readable_plan, caller.runtime.store, caller.principal, caller.scope, plan_id, version
    )
    await caller.record(subjects({v.dealer for v in kept.visits}), purpose=purpose)
    return kept
