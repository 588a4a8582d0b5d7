"""Sign in, sign out, and where one lands."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import State
from starlette.responses import RedirectResponse, Response

from features.reference.legal.outcome import outcome_label
from serving.access.accounts import COOKIE, Principal
from serving.access.passwords import Attempts, source_of
from serving.access.roles import PURPOSES
from serving.errors import (
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    UnauthenticatedError,
)
from serving.runtime import Runtime
from serving.web.form_words import field_label
from serving.web.rendering import page, pages_for
from serving.web.sealed import MOST, opened, sealed
from serving.web.sign_in.form import (
    FORM_COOKIE,
    forget_cookie,
    local_address,
    set_cookie,
    show_form,
)
from serving.web.sign_in.visitor import PageRoute, check_form, cookie_of, visitor

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# A form that waits for its sender to sign in.
_KEPT: Final = TypeAdapter(list[tuple[str, str]])
_RESUME: Final = "resume"


@router.get("/")
async def start(request: Request) -> Response:
    """Go to the first page this role has."""
    principal = await visitor(request)
    reached = pages_for(principal)
    if not reached:
        return page(
            request,
            "problem.html",
            title="Accounts only",
            me=principal,
            heading="Accounts only",
            detail="This role keeps accounts on the command line and sees no scores.",
            found="",
            expected="",
            fix="",
        )
    return RedirectResponse(reached[0][1], status_code=303)


@router.get("/sign-in")
async def ask(
    request: Request,
    next_page: Annotated[str, Query(alias="next", max_length=2_000)] = "/",
    over: Annotated[bool, Query()] = False,
) -> Response:
    """Show the form."""
    notice = "The session is over. Sign in to go on where you were." if over else ""
    return await show_form(request, next_page=local_address(next_page), notice=notice)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    form_token: Annotated[str, Form(max_length=100)] = "",
    next_page: Annotated[str, Form(alias="next", max_length=2_000)] = "/",
    token: Annotated[str, Form(max_length=8_192)] = "",
    name: Annotated[str, Form(max_length=80)] = "",
    password: Annotated[str, Form(max_length=200)] = "",
    purpose: Annotated[str, Form(max_length=40)] = "licensing",
    resume: Annotated[str, Form(max_length=2_000)] = "",
    kept: Annotated[str, Form(max_length=200_000)] = "",
) -> Response:
    """Open a session for a token, or for a name and password."""
    runtime: Runtime = request.app.state.runtime
    check_form(request, cookie_of(request, FORM_COOKIE), form_token)
    next_page = local_address(next_page)
    try:
        if purpose not in PURPOSES:
            raise InvalidRequestError("Choose a purpose.", expected=", ".join(PURPOSES))
        principal = await _identify(request, token.strip(), name.strip().lower(), password)
    except (UnauthenticatedError, InvalidRequestError, RateLimitError, OverloadedError) as error:
        return await show_form(
            request, next_page=next_page, name=name, purpose=purpose, message=error.what,
            status=error.status,
            wrong="token" if token.strip() else "password" if name.strip() else "name",
            resume=local_address(resume) if kept else "", kept=kept,
        )  # fmt: skip
    hours = runtime.settings.session_hours
    ledger = runtime.ledger(principal, purpose=purpose)
    cookie = await asyncio.to_thread(
        runtime.directory.start_session, principal, purpose, hours=hours, ledger=ledger
    )
    answer: Response = RedirectResponse(next_page, status_code=303)
    if kept:
        answer = await asyncio.to_thread(_give_back, request, cookie, local_address(resume), kept)
    set_cookie(answer, runtime, COOKIE, cookie, hours=hours)
    forget_cookie(answer, runtime, FORM_COOKIE)
    return answer


def _give_back(request: Request, cookie: str, resume: str, kept: str) -> Response:
    """Go to a form that waited for a new session; nothing is sent before the person says so."""
    runtime: Runtime = request.app.state.runtime
    try:
        fields = _KEPT.validate_json(kept)
    except ValidationError:
        return RedirectResponse("/", status_code=303)
    principal = runtime.directory.principal_of_session(cookie)
    draft = sealed([("resume", resume), *fields], principal, _RESUME)
    if len(draft) > MOST:
        return _waiting(request, principal, resume, fields)
    return RedirectResponse(f"/resume?draft={draft}", status_code=303)


@router.get("/resume")
async def show_waiting(
    request: Request, draft: Annotated[str, Query(max_length=2 * MOST)] = ""
) -> Response:
    """Show a form that waited for this session."""
    principal = await visitor(request)
    found = opened(draft, principal, _RESUME)
    if not found:
        return RedirectResponse("/", status_code=303)
    return await asyncio.to_thread(_waiting, request, principal, found[0][1], found[1:])


def _waiting(
    request: Request, principal: Principal, resume: str, fields: list[tuple[str, str]]
) -> Response:
    return page(
        request,
        "resume.html",
        title="Your form",
        me=principal,
        resume=resume,
        fields=[(n, v) for n, v in fields if n != "csrf"],
        shown=[(field_label(n), _in_words(n, v)) for n, v in fields if v and n not in _NOT_SHOWN],
    )


def _in_words(name: str, value: str) -> str:
    """Return what was filled in as a person says it: codes of choices have their words."""
    if name in {"outcome", "recommended_outcome"}:
        return outcome_label(value)
    return "yes" if name.startswith("willful_") else value


_NOT_SHOWN: Final = frozenset({"csrf", "back", "list_id", "ask", "step"})


async def _identify(request: Request, token: str, name: str, password: str) -> Principal:
    runtime: Runtime = request.app.state.runtime
    if token:
        return await asyncio.to_thread(runtime.directory.principal_of_token, token)
    if not name or not password:
        raise InvalidRequestError("Give a name and a password, or a token.")
    attempts = _attempts(request.app.state)
    source = source_of(request.client.host if request.client else "")
    with attempts.one_of(source):
        seconds = attempts.wait_of(source, name)
        await asyncio.sleep(seconds)
        try:
            principal = await asyncio.to_thread(runtime.directory.sign_in, name, password)
        except UnauthenticatedError:
            attempts.failed(source, name)
            if seconds:  # the right password is taken all the same
                raise RateLimitError(
                    "The name or the password is wrong, as it was several times before. "
                    "The next answer takes longer."
                ) from None
            raise
    attempts.succeeded(source, name)
    return principal


def _attempts(state: State) -> Attempts:
    """Return what slows guessing."""
    if not hasattr(state, "sign_in_attempts"):
        state.sign_in_attempts = Attempts()
    found: Attempts = state.sign_in_attempts
    return found


@router.post("/sign-out")
async def sign_out(request: Request, csrf: Annotated[str, Form(max_length=100)] = "") -> Response:
    """End the session."""
    runtime: Runtime = request.app.state.runtime
    principal = await visitor(request)
    check_form(request, principal.csrf, csrf)
    ledger = runtime.ledger(principal, purpose=principal.purpose)
    await asyncio.to_thread(
        runtime.directory.end_session, cookie_of(request, COOKIE), ledger=ledger
    )
    answer = RedirectResponse("/sign-in", status_code=303)
    forget_cookie(answer, runtime, COOKIE)
    return answer
