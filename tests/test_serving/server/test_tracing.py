"""Spans reach a collector, hold nothing restricted, and cost no answer when it is away."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.testclient import TestClient

from serving.errors import InvalidRequestError
from serving.server.app import build_app
from serving.server.tracing import Traced
from serving.settings import Settings

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(http.server.BaseHTTPRequestHandler):
    got: list[Any] = []  # noqa: RUF012 - one for the test's server

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest()
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        request.ParseFromString(body)
        type(self).got.append((self.path, request))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.got = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def traced(service, endpoint: str, **changes: Any) -> Traced:
    settings = replace(service.runtime.settings, otlp_endpoint=endpoint, **changes)
    wrapped = Traced.open(build_app(service.runtime), settings)
    assert wrapped is not None
    return wrapped


def spans() -> list[Any]:
    return [
        span
        for _, request in Collector.got
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def told(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_a_request_is_one_span_that_follows_its_caller_s(service, collector: str):
    app = traced(service, collector)
    client = TestClient(app, base_url="http://localhost:3000")
    headers = {
        "Authorization": f"Bearer {service.tokens['chief']}",
        "Ffl-Risk-Purpose": "licensing",
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    }
    dealer = service.post("/v1/rank", "chief", {"k": 1}).json()["rows"][0]["dealer"]
    assert client.get(f"/v1/dealers/{dealer}?secret=Zq9", headers=headers).status_code == 422
    assert client.get("/v1/nowhere/Zq9").status_code == 404
    app.close()
    first, second = spans()
    assert {path for path, _ in Collector.got} == {"/v1/traces"}
    assert first.trace_id.hex() == TRACE
    assert first.parent_span_id.hex() == "b7ad6b7169203331"
    assert first.name == "GET /v1/dealers/{dealer}"
    assert told(first)["http.route"] == "/v1/dealers/{dealer}"
    assert told(second) == {
        "http.request.method": "GET", "http.route": "unmatched", "http.response.status_code": 404,
    }  # fmt: skip
    whole = "".join(str(request) for _, request in Collector.got)
    assert dealer not in whole
    assert "Zq9" not in whole
    assert 'string_value: "ffl-risk"' in whole


def test_a_share_of_nothing_traces_only_what_its_caller_traces(service, collector: str):
    app = traced(service, collector, otlp_share=0.0)
    client = TestClient(app, base_url="http://localhost:3000")
    client.get("/healthz")
    client.get("/healthz", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    app.close()
    assert [span.name for span in spans()] == ["GET /healthz"]


def test_a_collector_that_is_away_costs_no_answer(service):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening
        app = traced(service, f"http://127.0.0.1:{held.getsockname()[1]}")
        client = TestClient(app, base_url="http://localhost:3000")
        begun = time.monotonic()
        for _ in range(20):
            assert client.get("/healthz").status_code == 200
        assert time.monotonic() - begun < 5
        app.close()


def test_without_a_collector_nothing_is_wrapped(service):
    assert Traced.open(build_app(service.runtime), service.runtime.settings) is None


@pytest.mark.parametrize("value", ["collector:4317", "grpc://collector", "http://", "http://c?x=1"])
def test_an_address_that_cannot_be_used_is_refused(tmp_path: Path, monkeypatch, value: str):
    monkeypatch.setenv("FFL_RISK_OTLP_ENDPOINT", value)
    with pytest.raises(InvalidRequestError, match="FFL_RISK_OTLP_ENDPOINT"):
        Settings.from_environment(tmp_path)
