"""Sign in with the issuer's account: leave for it, and come back."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from serving.access.accounts import COOKIE
from serving.access.code_flow import LIFETIME_SECONDS, Journey, address, arrive
from serving.access.oidc import Verifier
from serving.access.roles import PURPOSES
from serving.errors import InvalidRequestError, UnauthenticatedError
from serving.runtime import Runtime
from serving.web.rendering import page
from serving.web.sign_in.form import forget_cookie, local_address, set_cookie
from serving.web.sign_in.visitor import PageRoute, cookie_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

JOURNEY_COOKIE: Final = "ffl_risk_journey"
_PATH: Final = "/sign-in/issuer"


def _verifier(runtime: Runtime) -> Verifier:
    found = runtime.oidc
    if found is None or not found.settings.client_id:
        raise InvalidRequestError(
            "No issuer is set up for signing in.", fix="sign in with a local account or a token"
        )
    return found


def _redirect_uri(request: Request, verifier: Verifier) -> str:
    base = verifier.settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}{_PATH}/back"


@router.get(_PATH)
async def leave(
    request: Request,
    next_page: Annotated[str, Query(alias="next", max_length=2_000)] = "/",
    purpose: Annotated[str, Query(max_length=40)] = "licensing",
) -> Response:
    """Send the browser to the issuer."""
    runtime: Runtime = request.app.state.runtime
    verifier = _verifier(runtime)
    if purpose not in PURPOSES:
        raise InvalidRequestError("Choose a purpose.", expected=", ".join(PURPOSES))
    journey = Journey.begin(next_page=local_address(next_page), purpose=purpose)
    where = await asyncio.to_thread(
        address, verifier, journey, redirect_uri=_redirect_uri(request, verifier)
    )
    answer = RedirectResponse(where, status_code=303)
    set_cookie(
        answer,
        runtime,
        JOURNEY_COOKIE,
        journey.sealed(runtime.audit_key),
        hours=LIFETIME_SECONDS / 3_600,
        same_site="lax",  # the way back begins on the issuer's site
    )
    return answer


@router.get(f"{_PATH}/back")
async def come_back(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
    iss: Annotated[str, Query(max_length=400)] = "",
    error: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Open a session for whom the issuer vouches."""
    runtime: Runtime = request.app.state.runtime
    verifier = _verifier(runtime)
    try:
        journey = Journey.opened(cookie_of(request, JOURNEY_COOKIE), runtime.audit_key, state=state)
        if error or not code or (iss and iss != verifier.settings.issuer):
            raise UnauthenticatedError("The issuer did not sign you in.", found=error)
        principal = await asyncio.to_thread(
            arrive, verifier, journey, code=code, redirect_uri=_redirect_uri(request, verifier)
        )
    except UnauthenticatedError as refused:
        # Not the sign-in page at once: the issuer would send the browser round and round.
        answer = page(
            request, "problem.html", title="Not signed in", status=401,
            heading="Not signed in", detail=refused.what, found=refused.found,
            expected=refused.expected, fix="sign in again",
        )  # fmt: skip
        forget_cookie(answer, runtime, JOURNEY_COOKIE)
        return answer
    hours = runtime.settings.session_hours
    ledger = runtime.ledger(principal, purpose=journey.purpose)
    cookie = await asyncio.to_thread(
        runtime.directory.start_session, principal, journey.purpose, hours=hours, ledger=ledger
    )
    # A page of our own leads on: a cookie for this site alone is not sent along with a way that
    # began on another.
    answer = page(request, "signed_in.html", title="Signed in", next=journey.next_page)
    set_cookie(answer, runtime, COOKIE, cookie, hours=hours)
    forget_cookie(answer, runtime, JOURNEY_COOKIE)
    return answer
