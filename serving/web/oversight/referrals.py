"""The agent's page of referrals, and the page of who answers for what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, get_args

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from serving.access.audit.writer import subjects
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.api.routes.referrals import (
    make_step,
    places_of,
    queue_for,
    referral_for,
    responsibilities_for,
)
from serving.contract.field.referral import Result, StepRequest
from serving.contract.records.referrals import ReferralDocument
from serving.errors import ConflictError, InvalidRequestError
from serving.web.oversight.referral_words import in_words
from serving.web.rendering import page
from serving.web.sealed import MOST, Told, error_of, refuse, told_error, told_of
from serving.web.sign_in.visitor import PageRoute, checked_form, may, text

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_TYPED: Final = ("step", "to_agency", "to_who", "note")
_DONE = {
    "take": "The referral is yours.",
    "hand_over": "The referral is handed over.",
    "close": "The referral is closed.",
}


@router.get("/referrals")
async def index(
    request: Request,
    caller: Annotated[Caller, Depends(may("referrals"))],
    done: Annotated[str, Query(max_length=20)] = "",
    refused: Annotated[str, Query(max_length=2 * MOST)] = "",
) -> Response:
    """Show the queue."""
    wrong = told_of(refused, caller.principal, "referrals")
    return await _page(request, caller, said=_DONE.get(done, ""), wrong=wrong)


async def _page(
    request: Request, caller: Caller, *, said: str = "", wrong: Mapping[str, str] | None = None
) -> Response:
    purpose = caller.purpose()
    found = await asyncio.to_thread(_with_calls, caller)
    await caller.record(subjects(d for one in found for d in one["dealers"]), purpose=purpose)
    return page(
        request, "referrals.html", title="Referrals", active="referrals", me=caller.principal,
        status=200 if wrong is None else error_of(Told(wrong)).status,
        referrals=[(one, in_words(one, caller.scope)) for one in found],
        results=get_args(Result), done=said, wrong=None if wrong is None else Told(wrong),
        can_open=caller.principal.role in ACCESS["dealers"],
        can_step=caller.principal.role in ACCESS["referral_steps"],
    )  # fmt: skip


def _with_calls(caller: Caller) -> list[ReferralDocument]:
    places = places_of(caller)
    queue = queue_for(caller, places)
    waiting = [one for one in queue if one["status"] != "closed"]
    closed = [one for one in queue if one["status"] == "closed"]
    shown = [*waiting, *closed[:20]][:100]
    return [referral_for(caller, int(one["referral_id"]), places) for one in shown]


@router.post("/referrals/{referral_id}/steps")
async def take_step(
    request: Request,
    referral_id: Annotated[int, Path(ge=1, le=2**62)],
    caller: Annotated[Caller, Depends(may("referral_steps"))],
) -> Response:
    """Take, hand over or close a referral."""
    form = await checked_form(request, caller.principal)
    try:
        asked = _step(form)
        if asked.step == "close" and asked.result is None:
            raise InvalidRequestError("Choose a result to close the referral.")
        await asyncio.to_thread(make_step, caller, referral_id, asked, caller.purpose())
    except (ConflictError, InvalidRequestError) as error:
        typed = {name: text(form, name) for name in (*_TYPED, "result")}
        told = typed | told_error(error) | {"referral_id": str(referral_id)}
        return await refuse(
            caller.principal, "/referrals", told, about="referrals",
            show=partial(_page, request, caller, wrong=told),
        )  # fmt: skip
    return RedirectResponse(f"/referrals?done={asked.step}#r-{referral_id}", status_code=303)


def _step(form: FormData) -> StepRequest:
    try:
        return StepRequest.model_validate(
            {name: text(form, name) for name in _TYPED} | {"result": text(form, "result") or None}
        )
    except ValidationError:
        raise InvalidRequestError(
            "The form holds something unusable.", expected="a step, and to close a result"
        ) from None


@router.get("/responsibilities")
async def responsible(
    request: Request, caller: Annotated[Caller, Depends(may("responsibilities"))]
) -> Response:
    """Show which agency answers for what, what is doubled and what is missing."""
    found = await asyncio.to_thread(responsibilities_for, caller)
    await caller.record("responsibilities")
    return page(
        request, "responsibilities.html", title="Who answers for what", active="areas",
        me=caller.principal, **found,
    )  # fmt: skip
