"""Connections with bounds: their number, the time for headers, and how long nobody may read.

A request that is being read or answered is bounded by the guard. What lies before and after it is
bounded here: a client that never finishes its headers, one that sends a body nobody waits for, and
one that never reads what it asked for.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Collection
from typing import Any, Final

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import metrics
from serving.api.problems import MEDIA_TYPE, problem

# Descriptors that are not connections: the store, tables being read, logs, metrics.
_RESERVED: Final = 256
_FEWEST: Final = 16
_MOST_HEADER_BYTES: Final = 65_536
_MOST_HEADERS: Final = 200
# What asks for another protocol than the one that is spoken here.
_UPGRADE: Final = frozenset({b"upgrade", b"http2-settings"})


def _refusal(status: bytes, code: str, detail: str, *more: bytes) -> bytes:
    """Return a refusal as it goes over the wire, for what never reaches the application."""
    answer = problem(int(status[:3]), code, detail)
    lines = [
        b"HTTP/1.1 " + status,
        b"content-type: " + MEDIA_TYPE.encode(),
        *more,
        b"connection: close",
        b"content-length: %d" % len(answer.body),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body)


_TOO_MANY: Final = _refusal(
    b"503 Service Unavailable", "overloaded",
    "Too many connections are open; try again shortly.", b"retry-after: 1",
)  # fmt: skip
_TOO_LONG: Final = _refusal(
    b"431 Request Header Fields Too Large", "refused",
    f"The headers are over {_MOST_HEADER_BYTES:,} bytes or {_MOST_HEADERS} in number.",
)  # fmt: skip
_NO_HTTP: Final = _refusal(b"400 Bad Request", "refused", "This is no HTTP that can be read.")


def connection_bound(wanted: int) -> int:
    """Return how many connections one worker keeps open, as its file descriptors allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and wanted + _RESERVED > soft:
        soft = wanted + _RESERVED if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(_FEWEST, min(wanted, soft - _RESERVED))


def is_only_request() -> bool:
    """Whether the request that asks is the only one that this worker is answering."""
    return len(BoundedProtocol.under_way) == 1


class _Parser(HttpRequestParser):
    """Reads HTTP/1.1 on where it is asked for another protocol.

    A client may offer HTTP/2 along with a request (``Upgrade: h2c``, as Java's does by itself) and
    is answered in HTTP/1.1 all the same. The parser alone would stop there and lose the body.
    """

    def __init__(self, protocol: BoundedProtocol) -> None:
        super().__init__(protocol)
        # As uvicorn does: after a request that closes, what else was sent is no fault of it.
        self.set_dangerous_leniencies(lenient_data_after_close=True)
        self._protocol = protocol

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        """Read bytes."""
        try:
            super().feed_data(data)
        except HttpParserUpgrade as asked:
            self._protocol.read_on(data[asked.args[0] :])


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with bounds.

    Class attributes are set once per worker, before it listens.
    """

    header_seconds: float = 10.0
    reading_seconds: float = 30.0
    most_connections: int = 1_000
    # The requests that this worker is answering, as uvicorn counts them.
    under_way: Collection[Any] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = _Parser(self)
        self._headers_due: asyncio.TimerHandle | None = None
        self._reading_due: asyncio.TimerHandle | None = None
        self._n_unfinished = 0  # bytes that came of headers, or of a body's framing
        self._n_header_bytes = 0
        self._is_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there are too many."""
        super().connection_made(transport)
        BoundedProtocol.under_way = self.tasks
        if len(self.connections) > self.most_connections:
            metrics.REFUSED_CONNECTIONS.labels("bound").inc()
            transport.write(_TOO_MANY)
            transport.close()
            return
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and its timers."""
        self._headers_came()
        self._writing_goes_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; what belongs to no request in progress does not extend the wait."""
        if self.transport.is_closing():
            return
        self._n_unfinished += len(data)
        super().data_received(data)
        if self._n_unfinished > _MOST_HEADER_BYTES and not self.transport.is_closing():
            if self._is_in_body:  # a trailer or a note on a chunk without end
                self._give_up("long_headers")
            elif self._headers_due is not None:
                self._refuse_headers()
            return
        if self.parser is not None and (self.cycle is None or self.cycle.response_complete):
            self._expect_headers()

    def on_message_begin(self) -> None:
        """Count the headers of the next request."""
        self._n_header_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header while they are not too many or too long, and none that follows a body.

        What comes last was seen by no proxy in front, and by no check of the headers.
        """
        if self._is_in_body:
            return
        self._n_header_bytes += len(name) + len(value)
        if self._has_bounded_headers():
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self.parser.should_upgrade():  # then `read_on` has them read once more
            return
        self._headers_came()
        self._is_in_body = True
        if self._has_bounded_headers():
            super().on_headers_complete()
        else:
            self._refuse_headers()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, unless its request was refused."""
        self._n_unfinished = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Know that a request is whole, unless it was refused or is read once more."""
        if self.parser.should_upgrade():
            return
        self._is_in_body = False
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_chunk_header(self) -> None:
        """Know that the framing of a body goes on."""
        self._n_unfinished = 0

    def read_on(self, rest: bytes) -> None:
        """Read a request as if it asked for no other protocol, and what follows it."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("CONNECT")
            return
        wanted = [part for part in self.headers if part[0] not in _UPGRADE]
        lines = [b"%s %s HTTP/1.1" % (method, self.url)]
        for name, value in wanted:
            kept = _without_upgrade(value) if name == b"connection" else value
            lines.append(b"%s: %s" % (name, kept))
        self.parser = _Parser(self)
        self.parser.feed_data(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        if not self.transport.is_closing():
            self.transport.write(_NO_HTTP)
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._headers_came()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, for a while."""
        super().pause_writing()
        if self._reading_due is None:
            self._reading_due = self.loop.call_later(self.reading_seconds, self._give_up, "reading")

    def resume_writing(self) -> None:
        """Go on writing."""
        self._writing_goes_on()
        super().resume_writing()

    def _expect_headers(self) -> None:
        if self._headers_due is None:
            self._headers_due = self.loop.call_later(self.header_seconds, self._give_up, "headers")

    def _has_bounded_headers(self) -> bool:
        n_bytes = self._n_header_bytes + len(self.url)
        return n_bytes <= _MOST_HEADER_BYTES and len(self.headers) < _MOST_HEADERS

    def _refuse_headers(self) -> None:
        metrics.REFUSED_CONNECTIONS.labels("long_headers").inc()
        self._headers_came()
        self.transport.write(_TOO_LONG)
        self.transport.close()

    def _headers_came(self) -> None:
        self._n_unfinished = 0
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _writing_goes_on(self) -> None:
        if self._reading_due is not None:
            self._reading_due.cancel()
            self._reading_due = None

    def _give_up(self, why: str) -> None:
        metrics.REFUSED_CONNECTIONS.labels(why).inc()
        self.transport.abort()


def _without_upgrade(connection: bytes) -> bytes:
    parts = (part.strip() for part in connection.split(b","))
    return b", ".join(part for part in parts if part.lower() not in _UPGRADE)


def set_bounds(*, header_seconds: float, connections: int) -> None:
    """Set the bounds of this worker's connections."""
    BoundedProtocol.header_seconds = header_seconds
    BoundedProtocol.most_connections = connection_bound(connections)
