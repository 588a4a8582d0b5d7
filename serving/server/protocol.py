"""Connections with bounds: their number, the time for headers, and how long nobody may read.

A request that is being read or answered is bounded by the guard. What lies before and after it is
bounded here: a client that never finishes its headers, one that sends a body nobody waits for, and
one that never reads what it asked for.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import metrics

# Descriptors that are not connections: the store, tables being read, logs, metrics.
_RESERVED: Final = 256
_FEWEST: Final = 16
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n"
    b"retry-after: 1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
)
_BODY: Final = (
    b'{"type":"urn:ffl-risk:problem:overloaded","title":"Not available now","status":503,'
    b'"code":"overloaded","detail":"Too many connections are open; try again shortly."}'
)


def connection_bound(wanted: int) -> int:
    """Return how many connections one worker keeps open, as its file descriptors allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and wanted + _RESERVED > soft:
        soft = wanted + _RESERVED if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(_FEWEST, min(wanted, soft - _RESERVED))


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with bounds.

    Class attributes are set once per worker, before it listens.
    """

    header_seconds: float = 10.0
    reading_seconds: float = 30.0
    most_connections: int = 1_000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers_due: asyncio.TimerHandle | None = None
        self._reading_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            metrics.REFUSED_CONNECTIONS.labels("bound").inc()
            transport.write(_REFUSAL % len(_BODY) + _BODY)
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
        super().data_received(data)
        if self.parser is not None and (self.cycle is None or self.cycle.response_complete):
            self._expect_headers()

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._headers_came()
        super().on_headers_complete()

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

    def _headers_came(self) -> None:
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


def set_bounds(*, header_seconds: float, connections: int) -> None:
    """Set the bounds of this worker's connections."""
    BoundedProtocol.header_seconds = header_seconds
    BoundedProtocol.most_connections = connection_bound(connections)
