"""The application: routes, refusals as problem documents, and the guard around them."""

from __future__ import annotations

from functools import cache
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from features.errors import FflRiskError
from serving.access.rates import RateLimiter
from serving.api.problems import problem, problem_of, problem_of_validation
from serving.api.routes import (
    audit,
    changes,
    dealers,
    field,
    insight,
    lists,
    operations,
    plans,
    referrals,
    scores,
)
from serving.runtime import Runtime
from serving.server import document
from serving.server.exchange import Door
from serving.server.fastpath import FastPath
from serving.server.guard import App, Guard
from serving.server.idempotency import Idempotency
from serving.versions import code_version
from serving.web import pages
from serving.web.refusals import refusal_page, wants_page

_DESCRIPTION: Final = (
    "Ranks firearms dealers for compliance inspection and shows why. Every data route needs a "
    "bearer token, and restricted answers need a purpose. Refusals are RFC 9457 problem documents "
    "whose `code` is stable. A score orders inspections; it is not evidence."
)
_CODES: Final = {
    400: ("malformed_body", "The request cannot be read."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    415: ("unsupported_media_type", "The body must be application/json."),
}


def build_app(runtime: Runtime, *, bento: App | None = None) -> Guard:
    """Return the ASGI application over `runtime`.

    Parameters
    ----------
    bento : ASGI application, optional
        BentoML's, which then answers its own routes; without it the application answers them by
        the same functions.
    """
    app = FastAPI(
        title="ffl-risk",
        version=code_version(),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        servers=document.SERVERS,
        openapi_tags=document.TAGS,
        redirect_slashes=False,
        generate_unique_id_function=_name_of,
    )
    app.state.runtime = runtime
    app.state.limiter = RateLimiter(runtime.settings.rate, runtime.settings.burst)
    app.add_exception_handler(FflRiskError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)
    app.router.routes.extend(_routes())
    app.mount("/static", pages.static_files, name="static")
    document.complete(app)
    inner = Idempotency(app, app if bento is None else Door(app, bento))
    return Guard(FastPath(app, inner), runtime.settings)


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Return the routes of all routers.

    What is worked out of them at their first request serves every application of the process.
    """
    held = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, generate_unique_id_function=_name_of
    )
    for router in (
        operations.router,
        scores.router,
        lists.router,
        field.router,
        referrals.router,
        audit.router,
        dealers.router,
        plans.router,
        insight.router,
        changes.router,
        pages.router,
    ):
        held.include_router(router)
    return tuple(held.router.routes)


def _name_of(route: APIRoute) -> str:
    return route.name


async def _on_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, FflRiskError):
        raise error
    return problem_of(error)


async def _on_fault(request: Request, _: Exception) -> Response:
    """Answer in the form of any other refusal; the guard then logs what was raised."""
    detail = "The service met a fault; it is in the service's log."
    if wants_page(request.scope):
        return refusal_page(500, detail)
    return problem(500, "internal_error", detail)


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    code, detail = _CODES.get(status, ("refused", "The request is refused."))
    if wants_page(request.scope):
        return refusal_page(status, detail)
    return problem(status, code, detail, headers=error.headers)


async def _on_invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return problem_of_validation(error.errors())
