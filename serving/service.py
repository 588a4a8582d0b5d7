"""The BentoML service: five APIs over the same functions as everywhere, behind one guard.

`score`, `score_features`, `rank`, `explain` and `plan` are BentoML APIs: typed, in its schema,
called by its client and by plain HTTP alike. The application stands before BentoML's routes as
their middleware: it bounds requests, finds out who asks, answers a plain score at once (the fast
path), and gives BentoML's refusals the form that all others have. ``/``, ``/metrics`` and errors
are the project's own (BentoML's page calls a third party, its metrics are labeled by path and its
400 body contradicts its schema).

Heavy imports happen in the worker alone: the supervising process imports this module too.
"""

from __future__ import annotations

import os

# Before BentoML is imported: it reports usage unless told otherwise, and knows only this spelling.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import bentoml
from _bentoml_sdk.io_models import IODescriptor

from serving.contract.answers import (
    ExplainRequest,
    Explanation,
    ListPage,
    RankRequest,
    ScoreAnswer,
    ScoreRequest,
)
from serving.contract.features import FeaturesAnswer, FeaturesRequest
from serving.contract.plan import PlanAnswer, PlanAsk
from serving.settings import MAX_KEYS, worker_count

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
    is_within : bool
        Whether it stands within BentoML's layers, right before its routes.
    """

    def __init__(self, app: App, *, is_within: bool = True) -> None:
        self.app = app
        if is_within:
            _running["bento"] = app

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


def _answers(error_of: Any) -> Any:
    """Give the refusals of a BentoML route the form they have anywhere else."""
    from functools import wraps

    @wraps(error_of)
    async def answered(self: Any, **fields: Any) -> Any:
        from features.errors import FflRiskError
        from serving.api.problems import problem_of

        try:
            return await error_of(self, **fields)
        except FflRiskError as error:
            return problem_of(error)

    return answered


class _Body:
    """A request's body as the contract has it: read once, refused as anywhere else."""

    @classmethod
    async def from_http_request(cls, request: Any, serde: Any) -> Any:
        """Read the body."""
        from serving.server.exchange import read_body

        return await read_body(request, cls)


class ScoreInput(_Body, ScoreRequest, IODescriptor):
    """Which dealers to score."""


class RankInput(_Body, RankRequest, IODescriptor):
    """What to list."""


class ExplainInput(_Body, ExplainRequest, IODescriptor):
    """Which dealer to explain."""


class PlanInput(_Body, PlanAsk, IODescriptor):
    """What to plan."""


class FeaturesInput(FeaturesRequest, IODescriptor):
    """Rows of signals; those of requests that come together are scored together."""

    @classmethod
    async def from_http_request(cls, request: Any, serde: Any) -> Any:
        """Check role, purpose and rows of this request, and return its rows for the batch."""
        from features.errors import FflRiskError
        from serving.api.problems import problem_of
        from serving.dealers.explaining import row_values
        from serving.server.exchange import exchange, read_body

        body = await read_body(request, FeaturesRequest)
        current = exchange()
        try:
            snapshot = current.caller.scope.view.snapshot
            purpose = current.caller.purpose(body.purpose)
            values = row_values(snapshot, body.rows)
        except FflRiskError as error:
            raise current.refuse(problem_of(error)) from None
        current.asked = {"snapshot": snapshot, "values": values, "purpose": purpose}
        # A new table may come in between: each row goes with the snapshot it was read for.
        return _Rows(rows=[(snapshot, row) for row in values])


class _Rows(IODescriptor):
    """What the batch is made of: the only field, so that BentoML takes it for the batch."""

    rows: Any


class FeaturesOutput(FeaturesAnswer, IODescriptor):
    """One entry a row, in order."""

    @classmethod
    async def to_http_response(cls, obj: Any, serde: Any) -> Any:
        """Put this request's scores in its answer, and record the access before it goes out."""
        from pydantic_core import to_json

        from features.errors import FflRiskError
        from serving.api.callers import json_answer
        from serving.api.problems import problem_of
        from serving.dealers.explaining import rows_answer
        from serving.server.exchange import exchange

        current = exchange()
        asked = current.asked
        answer = rows_answer(asked["snapshot"], asked["values"], list(obj))
        try:
            subject = f"{len(asked['values'])} rows of signals"
            await current.caller.record(subject, purpose=asked["purpose"])
        except FflRiskError as error:
            return problem_of(error)
        return json_answer(to_json(answer))


async def _to_bento(scope: Message, receive: Receive, send: Send) -> None:
    """Hand a request to BentoML's own routes."""
    await _running["bento"](scope, receive, send)


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

        gc.disable()  # what is loaded now stays, and the collector would walk it again and again
        from features.errors import FflRiskError
        from serving import clock
        from serving.access.clock_check import newest_record
        from serving.changes.webhook_delivery import Deliverer
        from serving.runtime import Runtime, logger
        from serving.server.app import build_app
        from serving.server.supervisor import end_with_supervisor
        from serving.server.tracing import Traced
        from serving.settings import Settings

        end_with_supervisor()
        self.runtime = Runtime.open(Settings.from_environment())
        # A worker begun anew after the clock was set back goes on where the others are.
        if (newest := newest_record(self.runtime.store)) is not None:
            clock.not_before(newest)
        try:
            self.runtime.load(with_heads=False)
        except FflRiskError as error:
            # Readiness says so; the table is taken up as soon as it is published.
            logger.warning("started without scores: %s", error.what)
        self.runtime.start()
        self.runtime.look_after(Deliverer.open(self.runtime).loop)
        guarded = build_app(self.runtime, bento=_to_bento)
        self.traced = Traced.open(guarded, self.runtime.settings)
        _running["app"] = self.traced or guarded
        # What was loaded lives as long as the process: the collector need not walk it each time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(700, 10, 1000)
        gc.enable()
        # The thread that writes the audit must not hold up the next answer by its whole turn.
        sys.setswitchinterval(0.0005)
        self.runtime.prepare()

    @bentoml.api(route="/v1/score", input_spec=ScoreInput, output_spec=ScoreAnswer)
    @_answers
    async def score(self, **fields: Any) -> Any:
        """Score up to 1,000 dealers; an unknown one is answered, the others all the same."""
        from serving.api.routes import scores
        from serving.server.exchange import exchange

        return await scores.score(ScoreRequest(**fields), exchange().caller)

    @bentoml.api(
        route="/v1/score_features",
        input_spec=FeaturesInput,
        output_spec=FeaturesOutput,
        batchable=True,
        max_batch_size=MAX_KEYS,
        max_latency_ms=10_000,
    )
    def score_features(self, rows: Any) -> Any:
        """Score rows of signals, null where a value is missing."""
        import numpy as np

        from serving.dealers.explaining import scores_of

        out: list[Any] = [None] * len(rows)
        for snapshot in {id(one): one for one, _ in rows}.values():
            places = [n for n, (one, _) in enumerate(rows) if one is snapshot]
            found = scores_of(snapshot, np.stack([rows[n][1] for n in places]))
            for n, score in zip(places, found, strict=True):
                out[n] = score
        return out

    @bentoml.api(route="/v1/rank", input_spec=RankInput, output_spec=ListPage)
    @_answers
    async def rank(self, **fields: Any) -> Any:
        """Issue a ranked list, keep it for ever, and return its first page."""
        from serving.api.routes import lists
        from serving.server.exchange import exchange

        return await lists.rank(RankRequest(**fields), exchange().caller)

    @bentoml.api(route="/v1/explain", input_spec=ExplainInput, output_spec=Explanation)
    @_answers
    async def explain(self, **fields: Any) -> Any:
        """Return what each signal adds to a dealer's priority, and the records behind it."""
        from serving.api.routes import scores
        from serving.server.exchange import exchange

        return await scores.explain_dealer(ExplainRequest(**fields), exchange().caller)

    @bentoml.api(route="/v1/plan", input_spec=PlanInput, output_spec=PlanAnswer)
    @_answers
    async def plan(self, **fields: Any) -> Any:
        """Choose and order visits for an office's hours."""
        from serving.api.routes import plans
        from serving.server.exchange import exchange

        return await plans.plan(PlanAsk(**fields), exchange().caller)

    def __is_ready__(self) -> bool:
        """Whether bundle, table, store and background work are there."""
        return not self.runtime.troubles

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write what waits and close the store."""
        _running.pop("app", None)
        if self.traced is not None:
            self.traced.close()
        self.runtime.close()


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
    # BentoML's own layers come before its middleware: none of them is switched on, and together
    # they take a third of the time of a plain score.
    return Front(made, is_within=False)


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
