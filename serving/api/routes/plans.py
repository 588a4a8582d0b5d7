"""Plans of an office's visits."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic_core import to_json
from starlette.responses import Response

from serving.access.audit import subjects
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.plan import RULES, PlanAnswer, PlanAsk
from serving.planning.for_caller import plan_office

router = APIRouter(prefix="/v1", tags=["plans"])


@router.post(
    "/plan",
    response_model=PlanAnswer,
    responses=responses(409),
    summary="Plan an office's visits",
)
async def plan(body: PlanAsk, caller: Annotated[Caller, Depends(allow("plan"))]) -> Response:
    """Choose and order visits for an office's hours; the same request gives the same plan.

    When no plan meets all rules, the refusal's `fix` names each rule to relax, and how far.
    """
    purpose = caller.purpose(body.purpose)
    answer, dealers = await asyncio.to_thread(_plan, caller, body)
    await caller.record(subjects(dealers), purpose=purpose)
    return json_answer(to_json(answer))


def _plan(caller: Caller, body: PlanAsk) -> tuple[dict[str, Any], tuple[str, ...]]:
    scope = caller.scope
    start = (body.start.latitude, body.start.longitude) if body.start is not None else None
    made = plan_office(
        scope,
        caller.principal,
        body.office,
        rules=body.model_dump(include=set(RULES))
        | {"draw": caller.runtime.draw(scope.view.snapshot.as_of)},
        starts_on=body.starts_on,
        start=start,
    )
    snapshot = scope.view.snapshot
    answer = asdict(made.plan) | {
        "basis": snapshot.basis,
        "office": body.office,
        "starts_on": made.request.starts_on,
        "yield_per_hour": made.plan.yield_per_hour,
        "disclaimers": snapshot.disclaimers,
    }
    return answer, made.plan.dealers
