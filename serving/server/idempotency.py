"""Writes that are sent again: one `Idempotency-Key` is kept once and answered once.

That a write with a key was kept is noted in the transaction that keeps it
(`serving.store.journal`), so no moment at which a process is killed leaves one without the other.
Of two workers that make the same write at once one keeps it; the other finds the key taken, and
answers what was kept. A key is one identity's, for one request to one route.
Sent again, the request gets the answer of the first time, or what was kept as it stands now, where
a hold may hide some of it (`serving.server.idempotent_routes`). Where the process ended before the
answer was noted it is read anew, or the write is made again, which changes nothing: what it says is
known.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from features.errors import FflRiskError
from serving import clock
from serving.access.accounts import Principal
from serving.access.rates import RateLimiter
from serving.api.callers import authenticate, caller_of
from serving.api.problems import problem, problem_of
from serving.runtime import Runtime
from serving.server.guard import App, Message, Receive, Send
from serving.server.idempotent_routes import Route, route_of, shown_in, stated_purpose
from serving.store import journal
from serving.store.database import instant
from serving.store.tables import IDEMPOTENCY

HEADER: Final = b"idempotency-key"
_LONGEST: Final = 200
KEPT_DAYS: Final = 7


@dataclass(frozen=True)
class _Write:
    """A write under a key: where, whose, the key's digest, and what is asked."""

    route: Route
    path: str
    principal: Principal
    name: str
    message: Message

    @property
    def body(self) -> bytes:
        """What was sent."""
        return bytes(self.message.get("body", b""))

    @property
    def asked(self) -> str:
        """The digest of what is asked, and of whom."""
        return _digest(self.path.encode(), self.body)


class Idempotency:
    """Wraps the application.

    Parameters
    ----------
    app : FastAPI
        Holds the state.
    inner : ASGI application
        Does what is asked.
    """

    def __init__(self, app: FastAPI, inner: App) -> None:
        self.app, self.inner = app, inner
        self.runtime: Runtime = app.state.runtime
        self.limiter: RateLimiter = app.state.limiter
        self._under_way: dict[str, asyncio.Lock] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        key, route = None, None
        if scope["type"] == "http" and scope["method"] == "POST":
            route = route_of(scope["path"])
            key = dict(scope["headers"]).get(HEADER)
        if key is None or route is None:
            await self.inner(scope, receive, send)
            return
        if not 0 < len(key) <= _LONGEST or not key.isascii():
            detail = f"The Idempotency-Key is not 1 to {_LONGEST} ASCII characters."
            await problem(422, "invalid_request", detail)(scope, receive, send)
            return
        message = await receive()
        try:
            principal = await authenticate(Request(scope), self.runtime)
        except FflRiskError as error:
            await problem_of(error)(scope, receive, send)
            return
        name = _digest(principal.name.encode(), key)
        write = _Write(route, scope["path"], principal, name, message)
        lock = self._under_way.setdefault(name, asyncio.Lock())
        try:
            # The same write twice at once: the second waits for the first's answer.
            async with lock:
                while not await self._once(write, (scope, receive, send)):
                    pass
        finally:
            if not lock.locked():
                self._under_way.pop(name, None)

    async def _once(self, write: _Write, exchange: tuple[Message, Receive, Send]) -> bool:
        """Answer a write, unless another worker kept it meanwhile and its key is known by now."""
        scope, receive, send = exchange
        known = await asyncio.to_thread(self._known, write.name)
        if known is not None:
            kept = await self._answered(scope, write, known)
            if kept is not None:
                await kept(scope, receive, send)
                return True
        key = None if known is not None else journal.Keyed(write.name, write.asked)
        recorder = _Recorder(send, key)
        token = journal.keyed.set(key)
        try:
            await self.inner(scope, _Again(write.message, receive), recorder)
        finally:
            journal.keyed.reset(token)
        if key is not None and key.is_taken:
            return False
        if 200 <= recorder.status < 300:
            body = b"".join(recorder.parts)
            await asyncio.to_thread(self._note, write.name, write.asked, recorder.status, body)
        return True

    async def _answered(self, scope: Message, write: _Write, known: sa.Row[Any]) -> Response | None:
        """Return the answer to a write whose key is known, None when it must be made again."""
        if known.request_sha256 != write.asked:
            return problem(
                422,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another request.",
                expected="a new key for each write",
            )
        is_noted, read = known.status != journal.KEPT, write.route.again
        if not is_noted and read is None:
            return None
        try:
            caller = await caller_of(Request(scope), self.runtime, self.limiter, write.route.action)
            purpose = caller.purpose(stated_purpose(write.body))
            status, body = known.status, known.body
            # What was noted before rows named what they kept is given as it was.
            if read is not None and known.ref and (write.route.is_always or not is_noted):
                status, body = 200, await asyncio.to_thread(read, caller, known.ref, write.body)
            dealers, list_id = shown_in(body)
            subject = " ".join(filter(None, ("again", known.ref, dealers)))
            await caller.record(subject, purpose=purpose, list_id=list_id)
        except FflRiskError as error:
            return problem_of(error)
        headers = {"Idempotency-Replayed": "true"}
        return Response(body, status, headers, media_type="application/json")

    def _known(self, name: str) -> sa.Row[Any] | None:
        query = sa.select(IDEMPOTENCY).where(IDEMPOTENCY.c.key_sha256 == name)
        with self.runtime.store.read() as connection:
            return connection.execute(query).first()

    def _note(self, name: str, asked: str, status: int, body: bytes) -> None:
        """Note the answer, and forget those of long ago."""
        own = IDEMPOTENCY.c.key_sha256 == name
        row = {"request_sha256": asked, "status": status, "body": body, "at": instant()}
        old = instant(clock.now() - timedelta(days=KEPT_DAYS))
        with self.runtime.store.write() as connection:
            if not connection.execute(IDEMPOTENCY.update().where(own).values(**row)).rowcount:
                connection.execute(IDEMPOTENCY.insert(), {"key_sha256": name, **row})
            connection.execute(IDEMPOTENCY.delete().where(IDEMPOTENCY.c.at < old))


class _Recorder:
    """Sends an answer and remembers it; of a write whose key was taken, nothing is sent."""

    def __init__(self, send: Send, key: journal.Keyed | None) -> None:
        self._send, self._key = send, key
        self.status = 0
        self.parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.parts.append(message.get("body", b""))
        if self._key is None or not self._key.is_taken:
            await self._send(message)


class _Again:
    """Gives the body that was read once more."""

    def __init__(self, message: Message, receive: Receive) -> None:
        self._message: Mapping[str, object] | None = message
        self._receive = receive

    async def __call__(self) -> Message:
        if self._message is not None:
            message, self._message = self._message, None
            return dict(message)
        return await self._receive()


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
