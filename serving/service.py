"""The BentoML service: process, workers and supervision; the application answers.

The application stands in front of BentoML's own routes as its middleware. Measured on two cores,
one dealer a request: BentoML routes 0.58 ms, the application mounted behind BentoML's stack
0.77 ms; in front of it the stack costs nothing, and ``/``, ``/metrics``, errors and limits are the
project's own (BentoML's page calls a third party, its metrics are labeled by path and its 400 body
contradicts its schema).

Heavy imports happen in the worker alone: the supervising process imports this module too.
"""

from __future__ import annotations

import os

# Before BentoML is imported: it reports usage unless told otherwise, and knows only this spelling.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import bentoml

from serving.settings import worker_count

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_STARTING: Final = (
    b'{"type":"urn:ffl-risk:problem:not_ready","title":"Not available now","status":503,'
    b'"code":"not_ready","detail":"The service is starting."}'
)
_running: dict[str, App] = {}


class Front:
    """Hands every request to the application, which owns all routes.

    Parameters
    ----------
    app : ASGI application
        BentoML's; it only sees the lifespan.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif application := _running.get("app"):
            await application(scope, receive, send)
        else:
            headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": _STARTING})


@bentoml.service(
    name="ffl-risk",
    workers=worker_count(),
    # The guard has its own bounds; BentoML's timer would leave one object a request behind.
    traffic={"timeout": 3600},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
class FflRisk:
    """Loads what is published and answers until told to stop."""

    def __init__(self) -> None:
        import gc
        import sys

        from features.errors import FflRiskError
        from serving.runtime import Runtime, logger
        from serving.server.app import build_app
        from serving.settings import Settings

        _end_with_supervisor()
        self.runtime = Runtime(Settings.from_environment())
        try:
            self.runtime.load()
        except FflRiskError as error:
            # Readiness says so; the table is taken up as soon as it is published.
            logger.warning("started without scores: %s", error.what)
        self.runtime.start()
        _running["app"] = build_app(self.runtime)
        # What was loaded lives as long as the process: the collector need not walk it each time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(700, 10, 1000)
        # The thread that writes the audit must not hold up the next answer by its whole turn.
        sys.setswitchinterval(0.0005)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write what waits and close the store."""
        _running.clear()
        self.runtime.close()


def _end_with_supervisor() -> None:
    """Stop this worker in order when the process that supervises it is killed.

    Left alone it would go on answering, unsupervised, and keep the port from the next server.
    """
    import ctypes
    import signal
    import sys

    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


FflRisk.add_asgi_middleware(Front)  # type: ignore[attr-defined]


def application() -> App:
    """Return the ASGI application of one worker, as the supervisor asks for it."""
    from serving.server.logs import configure_logs
    from serving.server.protocol import set_bounds
    from serving.settings import Settings

    settings = Settings.from_environment()
    configure_logs(settings.log_format)
    set_bounds(header_seconds=settings.header_seconds, connections=settings.connections)
    made: App = FflRisk.to_asgi(is_main=True)  # type: ignore[attr-defined]
    return made


def _close_control_ports() -> None:
    """Keep BentoML's own supervisor, where a bento is served by it, off the network.

    Its supervisor takes commands from whoever reaches its endpoints, which are TCP ports of the
    loopback. Here they become sockets in a folder that only this account may enter.
    """
    import atexit
    import shutil
    import tempfile
    from functools import wraps
    from pathlib import Path

    from circus.arbiter import Arbiter

    begin = Arbiter.__init__
    if hasattr(begin, "__wrapped__"):
        return

    @wraps(begin)
    def begin_in_private(self: Any, watchers: Any, *_: Any, **more: Any) -> None:
        folder = Path(tempfile.mkdtemp(prefix="ffl-risk-control-"))  # made with mode 0700
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name in ("endpoint", "pubsub_endpoint"):
            more[name] = f"ipc://{folder / name}"
        begin(self, watchers, **more)

    Arbiter.__init__ = begin_in_private


_close_control_ports()
