"""The pages Repeats and Staffing: what supervisors ask beside the lists."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from features.insight.repeats import Repeats
from serving import clock
from serving.access.audit.writer import subjects
from serving.access.roles import check_purpose
from serving.api.callers import Caller
from serving.insight.supervision import repeats_for, staffing_for, told_of, what_if
from serving.scores.visible_dealers import Scope
from serving.web.rendering import dealer_name, page
from serving.web.sign_in.visitor import PageRoute, may

# A field of a form that was left empty is not stated.
_EMPTY: Final = BeforeValidator(lambda value: None if value == "" else value)
_Share = Annotated[float, Field(ge=0, le=100)]
_Hours = Annotated[float, Field(gt=0, le=8784)]
_People = Annotated[float, Field(ge=0, le=10_000)]
_NAMES: Final = ("business_name", "licensee_name")
router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/repeats")
async def show_repeats(
    request: Request,
    caller: Annotated[Caller, Depends(may("repeats"))],
    years: Annotated[int, Query(ge=1, le=25)] = 5,
) -> Response:
    """Show the area's dealers that were cited again after a warning, or ended milder."""
    purpose = check_purpose(caller.action, caller.purpose() or None, "restricted")
    home, store = caller.runtime.settings.home, caller.runtime.store
    found = await caller.heavy(partial(repeats_for, caller.scope, home, store, years=years))
    told = subjects(one.dealer for one in found.violators)
    await caller.record(f"repeats {told}", purpose=purpose)
    return page(
        request, "repeats.html", title="Cited again after a warning", active="measures",
        me=caller.principal, found=found, names=_names(caller.scope, found),
        told=await asyncio.to_thread(told_of, caller.scope, store), today=clock.today(),
    )  # fmt: skip


@router.get("/staffing")
async def show_staffing(
    request: Request,
    caller: Annotated[Caller, Depends(may("staffing"))],
    border_share: Annotated[_Share | None, _EMPTY, Query()] = None,
    hours: Annotated[_Hours | None, _EMPTY, Query()] = None,
    office: Annotated[str, Query(max_length=60)] = "",
    investigators: Annotated[
        Annotated[float, Field(ge=0, le=10_000)] | None, _EMPTY, Query()
    ] = None,
) -> Response:
    """Show what another number of investigators would do, office by office."""
    people = [f"{office}={investigators}"] if office and investigators is not None else []
    ask = what_if(people, hours, None if border_share is None else border_share / 100)
    home = caller.runtime.settings.home
    found = await caller.heavy(staffing_for, caller.scope, home, ask)
    await caller.record("staffing")
    return page(
        request, "staffing.html", title="What more investigators would do", active="measures",
        me=caller.principal, found=found, asked=office, people=investigators, hours=hours,
        border_share=border_share,
    )  # fmt: skip


def _names(scope: Scope, found: Repeats) -> dict[str, str]:
    columns = scope.view.snapshot.columns
    rows = {one.dealer: scope.row(one.dealer) for one in found.violators}
    return {
        dealer: dealer_name(
            {"dealer": dealer, **{name: columns[name][row] for name in _NAMES if name in columns}}
        )
        for dealer, row in rows.items()
        if row is not None
    }
