"""The access log says who and how it ended, and nothing of what was asked."""

import json
import logging
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from serving.server.app import build_app
from serving.server.logs import JsonLines, TextLines


@pytest.mark.parametrize("given", ["abc-1.x", "bad id\u00e9", "", "x" * 65])
def test_one_line_a_request_without_its_values(service, caplog, given):
    service.runtime.settings = replace(service.runtime.settings, log_format="json")
    client = TestClient(build_app(service.runtime), base_url="http://localhost:3000")
    dealer = str(service.runtime.snapshot.columns["dealer"][0])
    headers = {
        "Authorization": f"Bearer {service.tokens['analyst']}",
        "Ffl-Risk-Purpose": "licensing",
        "X-Request-ID": given.encode("latin-1"),
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    with caplog.at_level(logging.INFO, logger="ffl_risk.access"):
        answer = client.get(f"/v1/dealers/{dealer}?q=Zq9Secret", headers=headers)
        scored = client.post("/v1/score", json={"dealers": [dealer]}, headers=headers)
    assert scored.status_code == 200
    kept = answer.headers["x-request-id"]
    assert (kept == given) == (given == "abc-1.x")
    records = [r for r in caplog.records if r.name == "ffl_risk.access"]
    lines = [json.loads(JsonLines().format(record)) for record in records]
    assert [(line["who"], line["route"]) for line in lines] == [
        ("analyst", "/v1/dealers/{dealer}"), ("analyst", "/v1/score"),
    ]  # fmt: skip
    assert lines[0]["request_id"] == kept
    assert lines[0]["trace_id"] == "a" * 32
    assert lines[1]["status"] == 200
    told = json.dumps(lines)
    assert dealer not in told
    assert "Zq9Secret" not in told


def test_nobody_writes_a_line_of_the_log_of_his_own():
    said = "a\r\nb\x0bc\u2028d\x85e\x1cf"
    record = logging.LogRecord("ffl_risk", logging.INFO, "", 0, "%s", (said,), None)
    assert len(TextLines().format(record).splitlines()) == 1
    assert len(JsonLines().format(record).splitlines()) == 1
