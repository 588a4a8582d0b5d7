"""The door between the guard and BentoML's routes: who asks, and refusals in the project's form.

BentoML's routes know no identity and answer what does not validate with 400 and a body of their
own. Here a caller is found before one of them is reached, and what they refuse goes out as the
problem document that the same refusal has anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from features.errors import FflRiskError
from serving.access.rates import RateLimiter
from serving.api.callers import Caller, caller_of
from serving.api.problems import problem, problem_of, problem_of_validation
from serving.runtime import Runtime
from serving.server.guard import App, Message, Receive, Send

# The routes that BentoML answers, and what a caller must be allowed to do there.
ROUTES: Final[Mapping[str, str]] = {
    f"/v1/{action}": action for action in ("score", "score_features", "rank", "explain", "plan")
}
_SCHEMA: Final = "/schema.json"
_DROPPED: Final = frozenset({b"server"})


class RefusedHereError(Exception):
    """Ends the work of a BentoML route whose refusal is in the exchange."""


@dataclass
class Exchange:
    """One request while BentoML works on it.

    Parameters
    ----------
    caller : Caller
    refusal : Response, optional
        What goes out in place of what BentoML answers.
    asked : dict
        What one step of the work leaves for a later one.
    """

    caller: Caller
    refusal: Response | None = None
    asked: dict[str, Any] = field(default_factory=dict)

    def refuse(self, refusal: Response) -> RefusedHereError:
        """Note the refusal, and return what to raise."""
        self.refusal = refusal
        return RefusedHereError()


Body = TypeVar("Body", bound=BaseModel)
_current: ContextVar[Exchange] = ContextVar("exchange")


def exchange() -> Exchange:
    """Return the request that this task works on."""
    return _current.get()


async def read_body(request: Request, kind: type[Body]) -> Body:
    """Return the body of a request, validated.

    Raises
    ------
    RefusedHereError
        When it is not valid; the refusal is noted.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        found = error.errors(include_input=False, include_context=False)
        faults = [{**one, "loc": ("body", *one["loc"])} for one in found]
        raise exchange().refuse(problem_of_validation(faults)) from None


class Door:
    """Sends BentoML's routes to BentoML, and everything else to the application.

    Parameters
    ----------
    app : FastAPI
    bento : ASGI application
        BentoML's own, behind its middleware.
    """

    def __init__(self, app: FastAPI, bento: App) -> None:
        self.app, self.bento = app, bento
        self.runtime: Runtime = app.state.runtime
        self.limiter: RateLimiter = app.state.limiter

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_http = scope["type"] == "http"
        if is_http and scope["path"] == _SCHEMA and scope["method"] in {"GET", "HEAD"}:
            scope["route"] = SimpleNamespace(path=_SCHEMA)
            await self.bento(scope, receive, send)
        elif is_http and scope["method"] == "POST" and (action := ROUTES.get(scope["path"])):
            scope["route"] = SimpleNamespace(path=scope["path"])
            await self._answer(action, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, action: str, scope: Message, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            caller = await caller_of(request, self.runtime, self.limiter, action)
        except FflRiskError as error:
            await problem_of(error)(scope, receive, send)
            return
        current = Exchange(caller)
        token = _current.set(current)
        try:
            await self.bento(scope, receive, _Refusals(scope, receive, send, current))
        finally:
            _current.reset(token)


class _Refusals:
    """Lets answers through, and puts the project's refusal in the place of BentoML's."""

    def __init__(self, scope: Message, receive: Receive, send: Send, current: Exchange) -> None:
        self._scope, self._receive, self._send, self._current = scope, receive, send, current
        self._is_refused = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", [])
            message["headers"] = [pair for pair in headers if pair[0].lower() not in _DROPPED]
            is_own = any(
                name.lower() == b"content-type" and value.startswith(b"application/problem+json")
                for name, value in headers
            )
            if message["status"] >= 400 and not is_own:
                self._is_refused = True
                await self._refusal(message["status"])(self._scope, self._receive, self._send)
        if not self._is_refused:
            await self._send(message)

    def _refusal(self, status: int) -> Response:
        if self._current.refusal is not None:
            return self._current.refusal
        if status in {429, 503}:
            detail = "Too many requests are waiting; try again shortly."
            return problem(503, "overloaded", detail)
        return problem(
            500, "internal_error", "The service met a fault; it is in the service's log."
        )
