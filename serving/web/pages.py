"""The pages: sign in, the list, sign out. Server-rendered, no script needed, nothing remote."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Query, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from serving.access import check_purpose, check_role
from serving.callers import Caller, authenticate
from serving.errors import ForbiddenRoleError, InvalidRequestError, UnauthenticatedError
from serving.identity import Principal
from serving.ratelimit import RateLimiter
from serving.runtime import Runtime, subjects
from serving.statements import basis_sentence, disclaimers
from serving.web.session import COOKIE

router = APIRouter(include_in_schema=False)
HERE: Final = Path(__file__).parent
FORM_COOKIE: Final = "ffl_risk_form"
_PAGE_ROWS: Final = 100
# Wrong passwords a minute for one name, and for everyone together.
_ATTEMPTS = RateLimiter(5 / 60, 5)
_ALL_ATTEMPTS = RateLimiter(2, 60)

static_files = StaticFiles(directory=HERE / "static")
templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template."""
    return HTMLResponse(templates.get_template(name).render(**values), status_code=status)


def set_cookie(
    response: Response, runtime: Runtime, name: str, value: str, *, hours: float
) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send."""
    response.set_cookie(
        name,
        value,
        max_age=int(hours * 3_600),
        path="/",
        httponly=True,
        samesite="strict",
        secure=runtime.settings.is_https,
    )


def check_form(request: Request, expected: str | None, given: str) -> None:
    """Refuse a form that another site, or nobody in particular, sent."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    is_own = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    is_matching = bool(expected) and hmac.compare_digest(
        str(expected).encode(), given.encode("utf-8", "replace")
    )
    if site not in {"same-origin", "none"} or not is_own or not is_matching:
        raise ForbiddenRoleError(
            "The form did not come from this service's own page, or is too old.",
            fix="open the page again",
        )


@router.get("/sign-in")
async def sign_in_page(request: Request) -> Response:
    """Show the form."""
    return _sign_in_form(request.app.state.runtime, message="")


def _sign_in_form(runtime: Runtime, *, message: str, status: int = 200) -> Response:
    token = secrets.token_urlsafe(24)
    page = render("sign_in.html", status=status, form_token=token, message=message)
    set_cookie(page, runtime, FORM_COOKIE, token, hours=1)
    return page


@router.post("/sign-in")
async def sign_in(
    request: Request,
    form_token: Annotated[str, Form(max_length=100)] = "",
    token: Annotated[str, Form(max_length=8_192)] = "",
    name: Annotated[str, Form(max_length=80)] = "",
    password: Annotated[str, Form(max_length=200)] = "",
    purpose: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Open a session for a token, or a name and password."""
    runtime: Runtime = request.app.state.runtime
    check_form(request, request.cookies.get(FORM_COOKIE), form_token)
    try:
        purpose = check_purpose("page", purpose or None, "restricted")
        principal = await asyncio.to_thread(_identify, runtime, token.strip(), name, password)
        check_role(principal, "page")
        hours = runtime.settings.session_hours
        cookie = await asyncio.to_thread(
            runtime.directory.start_session, principal, purpose, hours=hours
        )
    except (UnauthenticatedError, ForbiddenRoleError, InvalidRequestError) as error:
        return _sign_in_form(runtime, message=error.what, status=error.status)
    await runtime.record(principal, "sign_in", "", purpose=purpose)
    answer = RedirectResponse("/", status_code=303)
    set_cookie(answer, runtime, COOKIE, cookie, hours=hours)
    answer.delete_cookie(FORM_COOKIE, path="/")
    return answer


def _identify(runtime: Runtime, token: str, name: str, password: str) -> Principal:
    if token:
        return runtime.directory.principal_of_token(token)
    if not name or not password:
        raise InvalidRequestError("Give a token, or a name and a password.")
    _ALL_ATTEMPTS.spend("all")
    _ATTEMPTS.spend(name)
    return runtime.directory.sign_in(name, password)


@router.post("/sign-out")
async def sign_out(request: Request, csrf: Annotated[str, Form(max_length=100)] = "") -> Response:
    """End the session."""
    runtime: Runtime = request.app.state.runtime
    cookie = request.cookies.get(COOKIE, "")
    principal = await asyncio.to_thread(runtime.directory.principal_of_session, cookie)
    check_form(request, principal.csrf, csrf)
    await asyncio.to_thread(runtime.directory.end_session, cookie)
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


async def page_caller(request: Request) -> Caller | None:
    """Return who looks at a page; None sends them to the sign-in page."""
    runtime: Runtime = request.app.state.runtime
    try:
        principal = await authenticate(request, runtime)
    except UnauthenticatedError:
        return None
    request.app.state.limiter.spend(principal.name)
    check_role(principal, "page")
    return Caller(runtime, principal, "page", None)


@router.get("/")
async def list_page(
    request: Request,
    caller: Annotated[Caller | None, Depends(page_caller)],
    start: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Show the caller's dealers by falling priority."""
    if caller is None:
        return RedirectResponse("/sign-in", status_code=303)
    purpose = caller.purpose()
    values = await asyncio.to_thread(_list_values, caller, start)
    await caller.record(subjects(row["dealer"] for row in values["rows"]), purpose=purpose)
    return render("list.html", principal=caller.principal, purpose=purpose, **values)


def _list_values(caller: Caller, start: int) -> dict[str, Any]:
    scope = caller.scope
    view, columns = scope.view, scope.view.snapshot.columns
    ranked = view.order[scope.own[view.order]]
    rows = []
    for row in ranked[start : start + _PAGE_ROWS].tolist():
        place = {name: columns[name][row] for name in ("city", "state", "license_type")}
        name = columns["business_name"][row] or columns["licensee_name"][row]
        rows.append(view.score(row, with_reasons=True) | place | {"name": name})
    basis = view.snapshot.basis
    return {
        "rows": rows,
        "start": start,
        "n_all": len(ranked),
        "page_rows": _PAGE_ROWS,
        "heads": view.snapshot.heads,
        "basis": basis_sentence(basis),
        "disclaimers": disclaimers(view.snapshot.restriction),
    }
