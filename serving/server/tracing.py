"""A span for each request, sent to a collector over OTLP; nothing in it is about a dealer.

A span holds method, route template, status and duration, and goes on where the caller's
``traceparent`` left off. Paths, query strings, bodies and messages of errors stay out. Spans wait
in a bounded queue and leave from a thread: a collector that is away costs spans, never an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.server.guard import App, Message, Receive, Send
from serving.settings import Settings
from serving.versions import code_version

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_SECONDS: Final = 5
_MOST_WAITING: Final = 2_048
_CARRIED: Final = (b"traceparent", b"tracestate")


class Traced:
    """Wraps the application.

    Parameters
    ----------
    app : ASGI application
        The guard: it lets nothing pass, and leaves the route in the scope.
    provider : TracerProvider
    """

    def __init__(self, app: App, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.app, self._provider = app, provider
        self._tracer = provider.get_tracer("ffl-risk", code_version())
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def open(cls, app: App, settings: Settings) -> Traced | None:
        """Wrap `app` when a collector is set; else return None, and nothing is imported."""
        if not settings.otlp_endpoint:
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        named = Resource({"service.name": "ffl-risk", "service.version": code_version()})
        provider = TracerProvider(
            resource=named,
            sampler=ParentBasedTraceIdRatio(settings.otlp_share),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(f"{settings.otlp_endpoint}/v1/traces", timeout=_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_MOST_WAITING))
        return cls(app, provider)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request within a span."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"]
        with self._tracer.start_as_current_span(
            method,
            context=self._parent(scope),
            kind=SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                await self.app(scope, receive, noted)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{method} {route}")
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500 or status == 0:
                    span.set_status(Status(StatusCode.ERROR))

    def _parent(self, scope: Message) -> Context:
        carried = {
            name.decode("ascii"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _CARRIED
        }
        return self._propagator.extract(carried)

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        self._provider.shutdown()
