"""The one hot route without the framework's work around it.

`POST /v1/score` is asked hundreds of times a second. When everything about such a request is plain
(a bearer token seen a moment ago, a body that is valid as it stands) it is answered here by the
very functions of its route. Anything else, every refusal included, goes to the application, so
there is one description of what is accepted and one of what is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Final

from fastapi import FastAPI
from pydantic import ValidationError

from serving.access.audit.writer import subjects
from serving.access.rates import RateLimiter
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.api.problems import problem_of
from serving.api.routes.scores import INLINE, score_content
from serving.contract.answers import ScoreRequest
from serving.errors import AuditError, ServingError
from serving.runtime import Runtime
from serving.server.guard import App, Message, Receive, Send
from serving.server.protocol import is_only_request

PATH: Final = "/v1/score"
_ROUTE: Final = SimpleNamespace(path=PATH)
_JSON: Final = (b"content-type", b"application/json")


class FastPath:
    """Wraps the application.

    Parameters
    ----------
    app : FastAPI
        Holds the state.
    inner : ASGI application, optional
        Answers whatever is not plain; `app` by default.
    """

    def __init__(self, app: FastAPI, inner: App | None = None) -> None:
        self.app = app
        self.inner: App = app if inner is None else inner
        self.runtime: Runtime = app.state.runtime
        self.limiter: RateLimiter = app.state.limiter

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.inner(scope, receive, send)
            return
        message = await receive()
        try:
            answer = await self._answer(scope, message.get("body", b""))
        except AuditError as error:
            await problem_of(error)(scope, receive, send)
            return
        if answer is None:
            await self.inner(scope, _again(message, receive), send)
            return
        scope["route"] = _ROUTE
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [_JSON, length]})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, scope: Message, body: bytes) -> bytes | None:
        """Return the answer, None when the application must see to the request."""
        if scope["query_string"]:
            return None
        headers = dict(scope["headers"])
        caller = self._caller(headers)
        if caller is None:
            return None
        scope["ffl_risk.who"] = caller.principal.name
        try:
            request = ScoreRequest.model_validate_json(body)
            self.runtime.switch.check("score")
            purpose = caller.purpose(request.purpose)
            if len(request.dealers) <= INLINE:
                content, seen = score_content(caller, request)
            else:
                content, seen = await asyncio.to_thread(score_content, caller, request)
            # Last, for a request that goes on to the application is counted there.
            self.limiter.spend(caller.principal.name)
        except (ValidationError, ServingError):
            return None
        # Nobody else is there to share a transaction with: it need not wait for the turn's end.
        await caller.record(subjects(seen), purpose=purpose, is_alone=is_only_request())
        return content

    def _caller(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token.isascii():
            return None
        principal = self.runtime.directory.remembered(token.strip().decode("ascii"))
        if principal is None or principal.role not in ACCESS["score"]:
            return None
        purpose = headers.get(b"ffl-risk-purpose")
        stated = purpose.decode("latin-1") if purpose is not None else None
        return Caller(self.runtime, principal, "score", stated)


def _again(message: Message, receive: Receive) -> Receive:
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return message

    return given
