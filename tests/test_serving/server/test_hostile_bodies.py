"""Thousands of bodies bent out of shape, on every route: refused, and no trace of them left."""

import copy
import csv
import io
import json
import logging
import random
from dataclasses import replace
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from serving.access.audit.writer import verify
from serving.api.problems import Problem
from serving.server.app import build_app
from serving.store.tables import METADATA

SECRET = "Zq9SecretValue"
N_BODIES = 5_000
VALID: dict[str, tuple[str, dict[str, Any]]] = {
    "/v1/score": ("analyst", {"dealers": ["1-10-00000"], "with_reasons": False}),
    "/v1/score_features": ("analyst", {"rows": [{"family0_signal0": 1.0}]}),
    "/v1/rank": ("chief", {"area": {"state": "AZ"}, "k": 3, "manual": [], "license_types": ["01"]}),
    "/v1/explain": ("analyst", {"dealer": "1-10-00000", "k": 5}),
    "/v1/decisions": ("chief", {"list_id": "L-20260101-ffffffffffff", "dealer": "1-10-00000",
                                "decision": "override", "reason": "other", "note": "n"}),
    "/v1/outcomes": ("chief", {"inspection_id": "I1", "dealer": "1-99-99999", "hours": 1.5,
                               "opened_on": "2026-01-01", "outcome": "none",
                               "violations": [{"citation": "478.124(c)(1)", "instances": 1}]}),
    "/v1/events": ("scheduler", {"table": "tips", "rows": [
        {"tip_id": SECRET, "dealer": "nobody", "received_on": "2026-01-01"}]}),
    "/v1/plan": ("chief", {"office": "nowhere", "weeks": 2, "n_investigators": 1}),
}  # fmt: skip
HOSTILE: tuple[Any, ...] = (
    None, True, [], {}, [[]], -1, 0, 2**31, 2**53 + 1, 2**63, -(2**64), 10**400, 1e308, 5e-324, "",
    float("nan"), float("inf"), -float("inf"), "' OR '1'='1'; DROP TABLE audit;--",
    f"=cmd|'{SECRET}'",
    "../../../../etc/passwd", "..\\..\\audit.key", "file:///etc/passwd", "\x00", "a\x00b", "\ud800",
    "\u202egnp.exe", "\ufeff", "${jndi:ldap://x}", "{{7*7}}", "<script>alert(1)</script>",
    "%2e%2e%2f", "x" * 5_000, "9" * 5_000, "0000-00-00", "9999-12-31", "2026-02-30", "1-1-1",
    {"$ne": None}, {"__proto__": {"x": 1}}, [SECRET] * 1_001, "\U0010ffff", "１-10-00000",
)  # fmt: skip
RAW: tuple[bytes, ...] = (
    b"", b"[" * 50_000, b'{"a":' * 20_000, b"null", b"0", b'"x"', b"{", b'{"dealers":["a",]}',
    b'{"k":' + b"9" * 5_000 + b"}", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"\x80\x81\x82",
    b'{"dealer":"1-10-00000","dealer":"1-11-00001"}', b"\x1f\x8b\x08\x00" + bytes(50),
    b'{"dealers":["\\ud800"],"\\udfff":1}', b'{"k":1e99999}', b"<?xml version='1.0'?><!DOCTYPE x>",
    b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--", b" " * (1 << 20) + b"{}",
)  # fmt: skip


def places_in(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Any = document.items() if isinstance(document, dict) else ()
    inner = enumerate(document) if isinstance(document, list) else inner
    return [path, *(place for key, value in inner for place in places_in(value, (*path, key)))]


def bent(rng: random.Random, document: dict[str, Any]) -> Any:
    """Return the body with one to three of its parts replaced, renamed, dropped or doubled."""
    body: Any = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(places_in(body))
        if not place:
            return rng.choice(HOSTILE)
        holder = body
        for key in place[:-1]:
            holder = holder[key]
        how = rng.randrange(5)
        if how == 0:
            del holder[place[-1]]
        elif how == 1 and isinstance(holder, dict):
            # A refusal names the field that is not known, so no secret stands in one here.
            name = str(rng.choice(HOSTILE))[:3_000].replace(SECRET, "")
            holder[name] = holder.pop(place[-1])
        elif how == 2:
            holder[place[-1]] = [holder[place[-1]]] * rng.choice((2, 1_100))
        else:
            holder[place[-1]] = rng.choice(HOSTILE)
    return body


def contents_of(store: Any) -> dict[str, list[Any]]:
    with store.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table))]
            for table in METADATA.sorted_tables
        }


@pytest.fixture
def quick(service):
    """The service without a rate, behind one client that is kept open."""
    service.runtime.settings = replace(service.runtime.settings, rate=1e9, burst=1e9)
    app = build_app(service.runtime)
    with TestClient(app, base_url="http://localhost:3000", raise_server_exceptions=True) as client:
        service.client = client
        yield service


@pytest.mark.slow
def test_bent_bodies_are_refused_and_leave_nothing(quick, caplog):
    rng = random.Random(20260101)
    paths = sorted(VALID)
    before = contents_of(quick.runtime.store)
    # A body may be bent and still ask for a list.
    kept = {"lists", "audit", "audit_head", "changes", "changes_head"}
    with caplog.at_level(logging.DEBUG):
        for n in range(N_BODIES):
            path = paths[n % len(paths)]
            role, valid = VALID[path]
            is_raw = rng.random() < 0.1
            content = rng.choice(RAW) if is_raw else json.dumps(bent(rng, valid)).encode()
            if rng.random() < 0.05:
                content = content[: rng.randrange(len(content) + 1)]
            if rng.random() < 0.05:
                content = content.decode("latin-1").encode(rng.choice(("utf-16", "utf-32")))
            kind = rng.choice(
                ("application/json",) * 6 + ("text/plain", "application/xml", "a/b;;")
            )
            answer = quick.call("POST", path, role, content=content,
                                headers={"Content-Type": kind})  # fmt: skip
            refused_without_a_trace(answer, content, path)
    assert SECRET not in caplog.text
    assert "fault in" not in caplog.text
    after = contents_of(quick.runtime.store)
    assert {k: v for k, v in after.items() if k not in kept} == {
        k: v for k, v in before.items() if k not in kept
    }
    assert verify(quick.runtime.store, quick.runtime.audit_key).is_intact
    # The service is as it was: a valid body is still answered.
    assert quick.post("/v1/score", "analyst", VALID["/v1/score"][1]).status_code == 200


def refused_without_a_trace(answer: Any, content: bytes, path: str) -> None:
    where = (path, content[:300], answer.status_code, answer.text[:300])
    assert answer.status_code < 500, where
    assert "Traceback" not in answer.text, where
    assert ".py" not in answer.text, where
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json", where
        assert Problem.model_validate(answer.json()).status == answer.status_code
        assert SECRET not in answer.text, where


@pytest.mark.parametrize(
    "path",
    [
        "/v1/lists/..%2f..%2fservice.db", "/v1/lists/L-20260101-ffffffffffff.csv%00.pdf",
        "/v1/lists/L-20260101-ffffffffffff%0a", "/v1/lists/' OR 1=1--", "/static/../service.db",
        "/static/..%2f..%2faudit.key", "/static/%2e%2e/%2e%2e/etc/passwd", "/static//etc/passwd",
        "/static/..%5c..%5caudit.key", "/v1/dealers/%00", "/v1/dealers/..%2f..", "//etc/passwd",
        "/v1/lists/L-20260101-ffffffffffff?cursor=1e9", "/docs.json%00", "/v1/dealers/%ff%fe",
        "/v1/lists/L-20260101-ffffffffffff?cursor=" + "9" * 5_000, "/" + "a" * 20_000,
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(quick, path):
    answer = quick.get(path, "chief")
    refused_without_a_trace(answer, b"", path)
    assert answer.status_code in {404, 405, 422}
    assert b"SQLite format" not in answer.content
    assert b"root:" not in answer.content


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer " + "x" * 9_000}, {"Authorization": "Bearer \xff\xfe"},
        {"Authorization": "Bearer ffl_' OR 1=1--_x"}, {"Authorization": "Basic " + "A" * 100},
        {"Cookie": "session=" + "x" * 5_000}, {"Cookie": "\xff=\xfe; ;;="},
    ],
)  # fmt: skip
def test_odd_identities_are_nobody(quick, headers):
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = quick.client.post("/v1/score", json=VALID["/v1/score"][1], headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("purpose", ["x" * 5_000, "\xff", "licensing, statistics", "' OR 1=1--"])
def test_odd_purposes_are_refused(quick, purpose):
    raw = {"Ffl-Risk-Purpose": purpose.encode("latin-1")}
    answer = quick.call("POST", "/v1/score", "analyst", purpose=None, headers=raw,
                        json=VALID["/v1/score"][1])  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (403, "purpose_required")


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t=", "\r=", "＝", " ="])
def test_no_cell_of_an_export_is_a_formula(quick, begins):
    formula = f"{begins}HYPERLINK(A1)"
    snapshot = quick.runtime.snapshot
    names = snapshot.columns["business_name"].copy()
    names[:] = formula
    quick.runtime.replace(replace(snapshot, columns={**snapshot.columns, "business_name": names}))
    picked = {"dealer": str(snapshot.columns["dealer"][0]), "reason": formula,
              "legal_basis": "warrant"}  # fmt: skip
    listed = quick.post("/v1/rank", "chief", {"k": 3, "manual": [picked]})
    assert listed.status_code == 200
    at = f"/v1/lists/{listed.json()['list_id']}"
    cells = [
        cell
        for line in csv.reader(io.StringIO(quick.get(f"{at}.csv", "chief").text))
        for cell in line
        if "HYPERLINK" in cell
    ]
    assert cells
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@", "＝")) for cell in cells)
    book = openpyxl.load_workbook(io.BytesIO(quick.get(f"{at}.xlsx", "chief").content))
    assert all(cell.data_type != "f" for sheet in book for line in sheet for cell in line)
