"""Odd addresses, limits, clients that dawdle, a full queue, and faults that stay inside."""

import asyncio
import random
import string
import threading
import time
from typing import get_args

import httpx
import pytest
from starlette.testclient import TestClient

from serving.access.rates import RateLimiter
from serving.api.problems import Problem
from serving.server import guard
from serving.server.app import build_app

SECRET = "Zq9SecretValue"


def is_problem(answer) -> bool:
    if answer.headers["content-type"] != "application/problem+json":
        return False
    document = Problem.model_validate(answer.json())
    return document.status == answer.status_code


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/score", 405, "method_not_allowed"),
        ("DELETE", "/v1/rank", 405, "method_not_allowed"),
        ("GET", "/v1/lists/../../etc/passwd", 404, "not_found"),
        ("GET", "/v1/lists/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, "not_found"),
        ("GET", "/v1/lists/L-1.csv", 422, "invalid_request"),
        ("GET", "/v1/dealers/" + "9" * 100, 422, "invalid_request"),
    ],
)
def test_odd_addresses_are_refused_with_a_stable_code(service, method, path, status, code):
    answer = service.call(method, path, "chief")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert is_problem(answer)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"dealers": []}, "invalid_request"),
        ({"dealers": ["x"] * 1001}, "invalid_request"),
        ({"dealers": "x"}, "invalid_request"),
        ({"dealers": ["x"], "surprise": 1}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
def test_a_refusal_names_the_place_and_never_repeats_the_value(service, body, code):
    answer = service.post("/v1/score", "analyst", body)
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert answer.json()["errors"][0]["where"].startswith("body")


@pytest.mark.parametrize("k", [0, 5001, -1, 10**30])
def test_lists_have_bounds(service, k):
    assert service.post("/v1/rank", "chief", {"k": k}).status_code == 422


def test_a_body_over_the_limit_is_refused_before_it_is_read(service):
    answer = service.call("POST", "/v1/score", "analyst", content=b" " * (1 << 20) + b"{}")
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    chunks = (b" " * 65536 for _ in range(20))
    answer = service.call("POST", "/v1/score", "analyst", content=chunks)
    assert answer.status_code == 413


def test_one_identity_has_a_rate(service):
    app = build_app(service.runtime)
    app.app.limiter = app.app.app.state.limiter = RateLimiter(0.001, 3)
    with TestClient(app, base_url="http://localhost:3000") as client:
        headers = {"Authorization": f"Bearer {service.tokens['analyst']}"}
        statuses = [
            client.post(
                "/v1/score",
                headers=headers | {"Ffl-Risk-Purpose": "licensing"},
                json={"dealers": ["x"]},
            ).status_code
            for _ in range(5)
        ]
    assert statuses == [200, 200, 200, 429, 429]


def test_a_full_queue_answers_503_with_retry_after_and_health_stays():
    release = threading.Event()

    async def slow(scope, receive, send):
        if scope["path"] != "/healthz":
            await asyncio.to_thread(release.wait, 10)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guarded = guarded_with(slow, queue=2)

    async def run():
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            waiting = [asyncio.create_task(client.get("/v1/x")) for _ in range(2)]
            await asyncio.sleep(0.1)
            refused = await client.get("/v1/x")
            health = await client.get("/healthz")
            release.set()
            return refused, health, [await task for task in waiting]

    refused, health, done = asyncio.run(run())
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"]
    assert health.status_code == 200
    assert [answer.status_code for answer in done] == [200, 200]


def guarded_with(app, **changed):
    from dataclasses import replace
    from pathlib import Path

    from serving.settings import Settings

    return guard.Guard(app, replace(Settings(Path(), "", Path()), **changed))


def test_slow_senders_hold_no_place_in_the_queue_and_are_cut_off():
    async def quick(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guarded = guarded_with(quick, queue=1, timeout_seconds=0.3)
    sent: list[list[dict]] = [[] for _ in range(20)]

    async def dawdle(n):
        async def receive():
            await asyncio.sleep(60)

        async def send(message):
            sent[n].append(message)

        await guarded(scope_of("/v1/x"), receive, send)

    async def run():
        slow = [asyncio.create_task(dawdle(n)) for n in range(20)]
        await asyncio.sleep(0.05)
        start = time.perf_counter()
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/v1/y")
        took = time.perf_counter() - start
        await asyncio.gather(*slow)
        return answer.status_code, took

    status, took = asyncio.run(run())
    assert status == 200
    assert took < 0.25
    assert {messages[0]["status"] for messages in sent} == {504}


def scope_of(path):
    return {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"x")]}


def test_a_fault_is_a_problem_without_its_reason_in_answer_or_log(caplog):
    async def broken(scope, receive, send):
        raise KeyError(SECRET)

    async def run():
        transport = httpx.ASGITransport(app=guarded_with(broken))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get("/v1/x")

    answer = asyncio.run(run())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert "KeyError" in caplog.text


def test_every_answer_carries_the_security_headers(service):
    for answer in (service.client.get("/healthz"), service.get("/v1/nothing", "chief")):
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_metrics_do_not_grow_with_addresses(service):
    def n_lines():
        return len(service.client.get("/metrics").text.splitlines())

    service.get("/v1/dealers/1-10-00000", "chief")
    service.get("/nowhere", "chief")
    n_lines()  # has lines of its own
    before = n_lines()
    for n in range(30):
        service.get(f"/v1/dealers/1-10-{n:05d}", "chief")
        name = "".join(random.Random(n).choices(string.ascii_lowercase, k=8))
        service.get(f"/{name}", "chief")
    assert n_lines() <= before + 20


@pytest.mark.parametrize("path", ["/plan?office=office0", "/lists", "/map"])
def test_a_page_that_takes_too_long_or_finds_no_room_is_refused_as_a_page(path):
    async def slow(scope, receive, send):
        await asyncio.sleep(10)

    async def ask(guarded, path, accept):
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get(path, headers={"Accept": accept})

    late = guarded_with(slow, timeout_seconds=0.01, heavy_seconds=0.01)
    full = guarded_with(slow, queue=0)
    for guarded, status, words in (
        (late, 504, "The request took longer than"),
        (full, 503, "Too many requests are waiting"),
    ):
        answer = asyncio.run(ask(guarded, path, "text/html,application/xhtml+xml"))
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert words in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert (status == 503) == ("retry-after" in answer.headers)
        # Programs are told as always.
        for to, accept in ((path, "*/*"), ("/v1/referrals", "text/html")):
            told = asyncio.run(ask(guarded, to, accept))
            assert told.status_code == status
            assert is_problem(told)


def routes_under(routes):
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_under(inner.routes)
        elif hasattr(route, "dependant"):
            yield route


def test_every_number_of_an_address_has_bounds(service):
    """A number beyond what the store can compare with is a fault of its driver's, not a refusal."""
    numbers = [
        (route.path, one.name, repr(one.field_info.metadata))
        for route in routes_under(service.client.app.app.app.routes)
        for one in (*route.dependant.path_params, *route.dependant.query_params)
        if int in {one.field_info.annotation, *get_args(one.field_info.annotation)}
    ]
    # Of the API, of a page that shows, and of one that takes a form.
    found = {path for path, *_ in numbers}
    assert {"/v1/plans/{plan_id}", "/plans/{plan_id}", "/referrals/{referral_id}/steps"} <= found
    assert [one for one in numbers if "Le(le=" not in one[2] or "Ge(ge=" not in one[2]] == []
