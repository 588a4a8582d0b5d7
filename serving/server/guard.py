"""The outermost layer: body size, slow clients, queue, time, security headers and metrics.

A request enters the queue only when its whole body is here, so that clients which send slowly
hold no place in it. Pure ASGI: it costs microseconds, where a stack of middlewares costs more than
the score itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from serving import metrics
from serving.api.deprecations import DEPRECATED
from serving.api.problems import problem
from serving.server.ambiguous import fault_of_body, fault_of_headers
from serving.settings import MAX_BODY_BYTES, Settings
from serving.web.refusals import refusal_page, wants_page

logger = logging.getLogger("ffl_risk.service")
access = logging.getLogger("ffl_risk.access")
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_TRACE: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# What operations asks for is answered even when the queue is full.
_ALWAYS: Final = frozenset({"/healthz", "/readyz", "/livez", "/metrics"})
_GONE: Final = 499  # in the log and the metrics alone: nobody is there to be told
_STUDIES: Final = (
    "/v1/flows", "/v1/completeness", "/v1/repeats", "/v1/staffing", "/v1/shares", "/flows",
)  # fmt: skip
_HEAVY: Final = ("/v1/plan", "/v1/rank", "/plan", "/v1/scores/export")
_FILES: Final = (".pdf", ".xlsx", ".csv", ".zip", "/packet")
_SECURITY_HEADERS: Final = [
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; "
     b"img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
     b"frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), camera=(), microphone=()"),
]  # fmt: skip


def _is_heavy(scope: Message) -> bool:
    """Whether the answer takes its caller's turn among plans, files and long lists."""
    path: str = scope["path"]
    return path.startswith((*_HEAVY, *_STUDIES)) or path.endswith(_FILES)


class _LeftError(Exception):
    """A client that went in the middle of its request."""


class Guard:
    """Wraps the application.

    Parameters
    ----------
    app : ASGI application
    settings : Settings
        Queue bound and time limit.
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self.queue = settings.queue
        self.timeout = settings.timeout_seconds
        self.heavy_timeout = max(settings.timeout_seconds, settings.heavy_seconds)
        self.has_access_log = settings.log_format == "json"
        self.n_in_progress = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        method = scope["method"]
        if method == "HEAD":  # what can be read can be asked for its headers alone
            scope = {**scope, "method": "GET"}
        answer = _Answer(scope, send, request_id, has_body=method != "HEAD")
        start = time.perf_counter()
        metrics.IN_PROGRESS.inc()
        try:
            await self._guarded(scope, receive, answer)
        finally:
            metrics.IN_PROGRESS.dec()
            # What matched no route is one label, however many paths are tried.
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.perf_counter() - start
            metrics.answered(method, route, answer.status, seconds)
            if self.has_access_log:
                _log_access(
                    {**scope, "method": method}, route, (request_id, answer.status, seconds)
                )

    async def _guarded(self, scope: Message, receive: Receive, answer: _Answer) -> None:
        if (
            fault := fault_of_headers(scope["headers"], scope.get("http_version", "1.1"))
        ) is not None:
            await answer.refuse(scope, *fault)
            return
        try:
            async with asyncio.timeout(self.timeout):
                body = await _read_body(scope, receive)
        except TimeoutError:
            await answer.refuse(scope, 504, "timeout", "The body did not arrive in time.")
            return
        except _LeftError:
            answer.status = _GONE
            return
        if body is None:
            await answer.refuse(
                scope, 413, "body_too_large", f"The body is over {MAX_BODY_BYTES:,} bytes."
            )
            return
        is_json = scope["method"] == "POST" and scope["path"].startswith("/v1/")
        if is_json and (fault := fault_of_body(scope["headers"], body)) is not None:
            await answer.refuse(scope, *fault)
            return
        if self.n_in_progress >= self.queue and scope["path"] not in _ALWAYS:
            await answer.refuse(
                scope, 503, "overloaded", "Too many requests are waiting; try again shortly."
            )
            return
        self.n_in_progress += 1
        seconds = self.heavy_timeout if _is_heavy(scope) else self.timeout
        try:
            async with asyncio.timeout(seconds):
                if _is_heavy(scope):
                    await self._while_there(scope, body, receive=receive, answer=answer)
                else:
                    await self.app(scope, _replay(body, receive), answer)
        except TimeoutError:
            await answer.refuse(
                scope, 504, "timeout", f"The request took longer than {seconds:g} seconds."
            )
        except Exception as error:  # noqa: BLE001 - the border of the process: nothing may pass it
            _log_fault(scope, error)
            await answer.refuse(
                scope, 500, "internal_error", "The service met a fault; it is in the service's log."
            )
        finally:
            self.n_in_progress -= 1

    async def _while_there(
        self, scope: Message, body: bytes, *, receive: Receive, answer: _Answer
    ) -> None:
        """Answer while the client is there; the work for one that has gone is ended."""
        work = asyncio.ensure_future(self.app(scope, _replay(body, receive), answer))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answer.is_complete:  # the end of an answer looks like a client that leaves
                await asyncio.wait({work})
        finally:
            gone.cancel()
            is_left = not work.done()
            if is_left:
                work.cancel()
                await asyncio.wait({work})
        if not is_left:
            work.result()
        elif not answer.status:
            answer.status = _GONE


class _Answer:
    """Sends an answer, adds the security headers and remembers the status."""

    def __init__(self, scope: Message, send: Send, request_id: str, *, has_body: bool) -> None:
        self._scope, self._send, self._has_body = scope, send, has_body
        self._request_id = (b"x-request-id", request_id.encode("ascii"))
        self.status = 0
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message.setdefault("headers", [])
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            headers.append(self._request_id)
            headers.extend(_SECURITY_HEADERS)
            route = getattr(self._scope.get("route"), "path", "")
            if (gone := DEPRECATED.get(f"{self._scope['method']} {route}")) is not None:
                headers.extend(gone.headers)
        # Before it is sent: from then on the client may leave, and that ends nothing.
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.is_complete = True
        if message["type"] == "http.response.body" and not self._has_body:
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, scope: Message, status: int, code: str, detail: str) -> None:
        if self.status:  # a begun answer cannot be taken back
            return
        is_page = wants_page(scope)
        answer = refusal_page(status, detail) if is_page else problem(status, code, detail)
        await answer(scope, _nothing, self)


def _request_id(scope: Message) -> str:
    """Return the id that the caller gave the request, when it can be one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return str(value.decode("ascii"))
    return os.urandom(16).hex()


def _log_access(scope: Message, route: str, told: tuple[str, int, float]) -> None:
    """Log who asked which route and how it ended: never a path, a query or a body."""
    request_id, status, seconds = told
    parent = next((v for n, v in scope["headers"] if n == b"traceparent"), b"")
    trace = _TRACE.fullmatch(parent)
    fields = {
        "request_id": request_id,
        "trace_id": trace[1].decode("ascii") if trace else None,
        "who": scope.get("ffl_risk.who"),
        "method": scope["method"],
        "route": route,
        "status": status,
        "seconds": round(seconds, 6),
    }
    access.info("%s %s %s", scope["method"], route, status, extra=fields)


async def _disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _read_body(scope: Message, receive: Receive) -> bytes | None:
    """Return the whole body, None when it is over the limit.

    Raises
    ------
    _LeftError
        When the client went before it was whole: half of what was meant is nothing to act on.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > MAX_BODY_BYTES):
            return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _LeftError
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    is_sent = False

    async def replayed() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _log_fault(scope: Message, error: Exception) -> None:
    """Log where it happened, not what was in the request: messages may quote restricted values."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = " < ".join(f"{frame.name} ({frame.lineno})" for frame in reversed(frames))
    route = getattr(scope.get("route"), "path", "unmatched")
    logger.error("fault in %s %s: %s at %s", scope["method"], route, type(error).__name__, where)
