"""Kept plans: read, changed by hand, approved, handed to those who carry them out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Final, cast, get_args

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from serving import clock
from serving.access.audit.writer import subjects
from serving.access.people import not_known
from serving.access.roles import ACCESS, LEADS, OVERSEES
from serving.api.callers import Caller
from serving.api.routes.plans import FILES
from serving.contract.kept_plan import STATUS_WORDS, KeptPlan, Status
from serving.errors import ConflictError, ForbiddenRoleError, InvalidRequestError, ServingError
from serving.planning.kept.clashes import clashes, named_of
from serving.planning.kept.document import rearranged, recalls_missing
from serving.planning.kept.overrides import closed_dealers, visits_since
from serving.planning.kept.store import (
    keep_version,
    plans_for,
    readable_plan,
    versions_of,
    with_status,
)
from serving.planning.kept.taken_back import dropped_visits
from serving.planning.office import candidate_table, office_rows
from serving.scores.words.area_names import office_label
from serving.web.plans.itinerary import for_template
from serving.web.rendering import page
from serving.web.sealed import MOST, Told, error_of, refuse, told_error, told_of
from serving.web.sign_in.visitor import PageRoute, checked_form, may, text, turned_to

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# What may be said above a page, by a word in the address: never the address's own words.
_DONE: Final = {
    "kept": "The plan is kept.",
    "moved": "The change is kept as a new version, a draft until it is approved.",
    "approved": "The plan is approved. Hand it over to those who carry it out.",
    "handed_over": "The plan is handed over.",
    "withdrawn": "The plan is withdrawn.",
}


@router.get("/plans")
async def index(request: Request, caller: Annotated[Caller, Depends(may("plans"))]) -> Response:
    """Show the plans that the caller may see."""
    purpose = caller.purpose()
    found = await asyncio.to_thread(plans_for, caller.runtime.store, caller.principal, caller.scope)
    await caller.record("plans", purpose=purpose)
    return page(
        request, "plans.html", title="Plans", active="plan", me=caller.principal, kept=found,
        can_plan=caller.principal.role in ACCESS["plan"],
    )  # fmt: skip


@router.get("/plans/{plan_id}.{kind}")
async def read_file(
    request: Request,
    plan_id: str,
    kind: str,
    caller: Annotated[Caller, Depends(may("plans"))],
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """Return a plan as a file."""
    if kind not in FILES:
        raise InvalidRequestError("There is no such file.", expected=", ".join(FILES))
    purpose = caller.purpose()
    plan = await asyncio.to_thread(_read, caller, plan_id, version)
    await caller.record(subjects({visit.dealer for visit in plan.visits}), purpose=purpose)
    media, write = FILES[kind]
    dropped = await asyncio.to_thread(dropped_visits, caller.runtime.store, caller.scope, plan)
    content = await caller.heavy(write, plan, dropped)
    headers = {"Content-Disposition": f'attachment; filename="{plan.plan_id}.{kind}"'}
    return Response(content, media_type=media, headers=headers)


def _read(caller: Caller, plan_id: str, version: int | None = None) -> KeptPlan:
    return readable_plan(caller.runtime.store, caller.principal, caller.scope, plan_id, version)


@router.get("/plans/{plan_id}")
async def show(
    request: Request,
    plan_id: str,
    caller: Annotated[Caller, Depends(may("plans"))],
    done: Annotated[str, Query(max_length=20)] = "",
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    refused: Annotated[str, Query(max_length=2 * MOST)] = "",
) -> Response:
    """Show a plan as kept; with a change that was refused, as it was asked for."""
    told = told_of(refused, caller.principal, plan_id)
    purpose = caller.purpose()
    plan = await asyncio.to_thread(_read, caller, plan_id, version)
    await caller.record(subjects({visit.dealer for visit in plan.visits}), purpose=purpose)
    said = _DONE.get(done, "")
    if done == "kept" and not plan.broken:
        said += " Approve it, then hand it over."
    if done == "handed_over":
        said += await asyncio.to_thread(_who_sees, caller, plan)
    error = None if told is None else error_of(told)
    return await asyncio.to_thread(
        lambda: _show(request, caller, plan, said=said, error=error, asked=told)
    )


def _named(caller: Caller, plan: KeptPlan) -> tuple[list[str], list[str]]:
    """Return who of the people of a plan sees it, and under which names nobody does."""
    named = named_of(plan.investigators)
    strangers = not_known(caller.runtime.store, named, ACCESS["plans"])
    return [name for name in named if name not in strangers], strangers


def _who_sees(caller: Caller, plan: KeptPlan) -> str:
    known, _ = _named(caller, plan)
    if not known:
        return " None of those who carry it out sees it here: give them the PDF."
    who = " and ".join(filter(None, [", ".join(known[:-1]), known[-1]]))
    return f" {who} {'sees' if len(known) == 1 else 'see'} it under Plans."


def _show(
    request: Request,
    caller: Caller,
    plan: KeptPlan,
    *,
    said: str = "",
    error: ServingError | None = None,
    asked: Mapping[str, str] | None = None,
) -> Response:
    store = caller.runtime.store
    versions = versions_of(store, plan.plan_id)
    who = caller.principal
    can_change = who.role in ACCESS["plan"]
    sees_all = plan.owner == who.name or who.role in OVERSEES | LEADS
    return page(
        request, "kept_plan.html", title=f"Plan of {office_label(plan.office)}", active="plan",
        me=caller.principal, status=200 if error is None else error.status, said=said, error=error,
        asked=Told(asked or {}),
        versions=[one for one in versions if sees_all or one["status"] == "handed_over"],
        is_newest=plan.version == versions[0]["version"],
        can_change=can_change, can_approve=caller.principal.role in LEADS,
        clashes=clashes(plan, plans_for(store, caller.principal, caller.scope)),
        is_over=plan.starts_on + timedelta(weeks=plan.weeks) <= clock.today(),
        status_words=STATUS_WORDS, strangers=_named(caller, plan)[1],
        **for_template(plan, caller.scope.view, can_return=sorted(recalls_missing(plan))),
    )  # fmt: skip


@router.post("/plans/{plan_id}/moves")
async def move(
    request: Request, plan_id: str, caller: Annotated[Caller, Depends(may("plan"))]
) -> Response:
    """Move a visit of a kept plan, or leave it out, as a new version."""
    form = await checked_form(request, caller.principal)
    dealer, week = text(form, "move_dealer"), text(form, "move_week")
    person = text(form, "move_investigator") or "1"
    asked = f"{dealer}~out" if week == "out" else f"{dealer}~{week}.{person}"
    return await _changed(
        request, caller, plan_id, lambda plan: _after(caller, plan, asked), done="moved",
        looked_at=text(form, "version"),
        asked={"move_dealer": dealer, "move_week": week, "move_investigator": person},
    )  # fmt: skip


def _after(caller: Caller, plan: KeptPlan, asked: str) -> KeptPlan:
    scope = caller.scope
    table = candidate_table(
        scope.view,
        office_rows(scope.view, scope.own, plan.office),
        starts_on=plan.starts_on,
        weeks=plan.weeks,
    )
    store = caller.runtime.store
    closed = closed_dealers(store)
    table = table[~table["dealer"].isin(closed)].reset_index(drop=True)
    settled = closed | visits_since(store, scope.view, plan).keys()
    return rearranged(scope.view, table, plan, asked, settled=settled)


@router.post("/plans/{plan_id}/status")
async def set_status(
    request: Request, plan_id: str, caller: Annotated[Caller, Depends(may("plan"))]
) -> Response:
    """Approve a plan, hand it over, or withdraw it."""
    form = await checked_form(request, caller.principal)
    wanted = text(form, "status")
    if wanted not in get_args(Status):
        raise InvalidRequestError(
            "A plan has no such status.", expected=", ".join(get_args(Status))
        )
    if caller.principal.role not in LEADS:
        raise ForbiddenRoleError("Only a supervisor approves and hands over.")
    status = cast("Status", wanted)
    return await _changed(
        request, caller, plan_id, lambda plan: with_status(plan, status), done=status,
        looked_at=text(form, "version"),
    )  # fmt: skip


async def _changed(
    request: Request,
    caller: Caller,
    plan_id: str,
    change: Callable[[KeptPlan], KeptPlan],
    *,
    done: str,
    looked_at: str,
    asked: Mapping[str, str] | None = None,
) -> Response:
    """Make a change of the version that its form was made from; never of one not looked at."""
    purpose = caller.purpose()
    plan = await asyncio.to_thread(_read, caller, plan_id)

    def make() -> KeptPlan:
        if looked_at != str(plan.version):
            raise ConflictError(
                "Somebody else has changed this plan since you looked at it: nothing was done.",
                found=f"version {plan.version}, as below",
                fix="look at it as it is now, then do it again",
            )
        ledger = caller.runtime.ledger(caller.principal, purpose=purpose)
        return keep_version(
            caller.runtime.store, change(plan), before=plan.version, ledger=ledger, done=done,
            scope=caller.scope,
        )  # fmt: skip

    try:
        await asyncio.to_thread(make)
    except ServingError as error:
        fault = error

        async def show() -> Response:
            reader = turned_to(caller, "plans")
            now = await asyncio.to_thread(_read, caller, plan_id)
            told = subjects({visit.dealer for visit in now.visits})
            await reader.record(told, purpose=reader.purpose())
            return await asyncio.to_thread(
                lambda: _show(request, reader, now, error=fault, asked=asked)
            )

        return await refuse(
            caller.principal, f"/plans/{plan_id}", told_error(error) | dict(asked or {}),
            about=plan_id, show=show,
        )  # fmt: skip
    return RedirectResponse(f"/plans/{plan_id}?done={done}", status_code=303)
