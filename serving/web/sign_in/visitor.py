"""Who visits a page: the session behind the cookie, and refusals as pages."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlsplit

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from features.errors import FflRiskError
from serving.access.accounts import COOKIE, Principal, cookie_name
from serving.access.roles import check_role
from serving.api.callers import Caller
from serving.api.problems import TITLES
from serving.errors import InvalidRequestError, UnauthenticatedError
from serving.runtime import Runtime
from serving.web.rendering import page
from serving.web.sign_in.form import ask_again

_NEVER_KEPT: Final = frozenset({"/sign-in", "/sign-out"})
# More than the rows of the longest page that can be ticked.
_MOST_FIELDS: Final = 1_000


class CrossSiteError(InvalidRequestError):
    """A form that was not sent from one of this session's own pages."""

    code = "cross_site_form"
    status = 403


class PageRoute(APIRoute):
    """A route whose refusals are pages, and whose missing identity is the sign-in page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except UnauthenticatedError:
                if kept := await kept_form(request):
                    return await ask_again(request, kept)
                return _to_sign_in(request)
            except FflRiskError as error:
                return await asyncio.to_thread(_refusal, request, error)
            except RequestValidationError:
                fault = InvalidRequestError("The address or the form holds something unusable.")
                return await asyncio.to_thread(_refusal, request, fault)

        return answer


async def kept_form(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form whose session ended meanwhile, to give it back after sign-in.

    Only of a form that the browser says came from this site: another's would be given back too,
    and sent in the name of whoever signs in.
    """
    if request.method != "POST" or not _is_own(request) or request.url.path in _NEVER_KEPT:
        return []
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    return [(n, v) for n, v in form.multi_items() if n != "csrf" and isinstance(v, str)]


def _is_own(request: Request) -> bool:
    """Return whether the browser says that a form was sent from this site's own page."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    # A browser that is told to send no referrer calls the origin of its own forms "null".
    is_own = origin in {None, "null"} or urlsplit(origin).netloc == request.headers.get("host")
    return site in {"same-origin", "none"} and is_own


def _to_sign_in(request: Request) -> Response:
    where = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        where += f"?{request.url.query}"
    over = "&over=1" if cookie_of(request, COOKIE) else ""
    return RedirectResponse(f"/sign-in?next={quote(where, safe='')}{over}", status_code=303)


def _refusal(request: Request, error: FflRiskError) -> Response:
    """Show a refusal; what lies below the service stays in the log."""
    status = int(getattr(error, "status", 500))
    is_ours = status < 500 or status == 503
    return page(
        request,
        "problem.html",
        title=TITLES.get(status, "Refused"),
        me=getattr(request.state, "principal", None),
        status=status,
        heading=TITLES.get(status, "Refused"),
        detail=error.what if is_ours else "The service met a fault; it is in the service's log.",
        found=error.found if is_ours else "",
        expected=error.expected if is_ours else "",
        fix=error.fix if is_ours else "",
    )


def cookie_of(request: Request, name: str) -> str:
    """Return what a browser sent under a name that `set_cookie` gives, empty when nothing."""
    settings = request.app.state.runtime.settings
    return request.cookies.get(cookie_name(name, is_https=settings.is_https), "")


async def visitor(request: Request) -> Principal:
    """Return who is signed in.

    Raises
    ------
    UnauthenticatedError
        When nobody is, or the session is over.
    """
    runtime: Runtime = request.app.state.runtime
    cookie = cookie_of(request, COOKIE)
    if not cookie:
        raise UnauthenticatedError("Nobody is signed in.")
    principal = await asyncio.to_thread(runtime.directory.principal_of_session, cookie)
    request.app.state.limiter.spend(principal.name)
    request.state.principal = principal
    return principal


def may(action: str) -> Callable[[Request], Coroutine[Any, Any, Caller]]:
    """Return the dependency that lets only the roles of `action` see a page."""

    async def caller(request: Request) -> Caller:
        principal = await visitor(request)
        check_role(principal, action)
        request.app.state.runtime.switch.check(action)
        return Caller(request.app.state.runtime, principal, action, None)

    return caller


def turned_to(caller: Caller, action: str) -> Caller:
    """Return a caller on what a refused form shows again, held to the rules of that page.

    The form's own action may be let through where the page is not: suspended, or another role's.
    """
    check_role(caller.principal, action)
    caller.runtime.switch.check(action)
    return replace(caller, action=action)


async def checked_form(request: Request, principal: Principal) -> FormData:
    """Return a form that one of this session's own pages sent."""
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    check_form(request, principal.csrf, text(form, "csrf"))
    return form


def check_form(request: Request, expected: str | None, given: str) -> None:
    """Refuse a form that another site, or nobody in particular, sent.

    Raises
    ------
    CrossSiteError
        When it does not carry the secret, or the browser says that it came from elsewhere.
    """
    is_matching = bool(expected) and hmac.compare_digest(
        str(expected).encode(), given.encode("utf-8", "replace")
    )
    if not _is_own(request) or not is_matching:
        raise CrossSiteError(
            "The form did not come from this service's own page, or is too old.",
            fix="open the page again and repeat",
        )


def text(form: Mapping[str, Any], name: str) -> str:
    """Return a field of a form as text; empty when absent or a file."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""
