"""Work that nobody waits for any more stops using the processor, in the middle of anything."""

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import LinearConstraint

from features import abandonment
from features.engine.embedded import EmbeddedEngine
from features.warehouse import Warehouse
from serving import work_pool
from serving.papers import spreadsheet
from serving.planning import PlanRequest, make_plan
from serving.planning.solving import linear_program as solver
from tests.benchmarks.inputs.office import STARTS_ON, invented_office

ROOT = Path(__file__).parents[3]
LARGE = PlanRequest(39.0, -96.0, STARTS_ON, weeks=26, n_investigators=10)


def abandoned_after(seconds, work, *args):
    """Begin work as the service does, stop waiting for it, and return how long it then went on."""
    pool = work_pool.HeavyWork(1)
    ended = threading.Event()

    def observed():
        try:
            work(*args)
        finally:
            ended.set()

    async def wait():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await pool.run("somebody", observed)

    asyncio.run(wait())
    begun = time.monotonic()
    assert ended.wait(30)
    pool.close()
    return time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_a_large_plan_ends_soon_after_it_is_abandoned(seconds):
    frame = invented_office(1500)
    assert abandoned_after(seconds, make_plan, frame, LARGE) < 4.0  # of twenty seconds


def test_a_spreadsheet_ends_in_the_middle_of_its_rows():
    fields = [spreadsheet.Field(f"f{n}", "text", 10) for n in range(8)]
    sheet = spreadsheet.Sheet("List", fields, [["text"] * 8] * 400_000)
    begun = datetime(2026, 1, 1, tzinfo=UTC)

    def book():
        spreadsheet.book([sheet], about=["List"], created=begun)

    assert abandoned_after(0.3, book) < 1.0  # of some ten seconds


def test_a_query_of_a_study_ends_in_the_middle(tmp_path):
    """A join of a billion pairs, which takes DuckDB far longer than the test waits."""
    pairs = "SELECT sum(hash(a.range) % 7) FROM range(1, 200000) a, range(1, 200000) b"

    def study():
        with EmbeddedEngine(Warehouse(tmp_path, {"tables": {}})) as engine:
            engine.query(pairs)

    assert abandoned_after(1.0, study) < 1.0  # of a minute and more


def test_work_that_goes_on_is_not_ended_when_nobody_waits():
    pool, seen = work_pool.HeavyWork(1), []

    def work():
        time.sleep(0.3)
        abandonment.check()
        seen.append("kept")

    async def wait():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.run("somebody", work, goes_on=True)
        await pool.run("somebody", lambda: None)  # in the only thread: behind it

    asyncio.run(wait())
    pool.close()
    assert seen == ["kept"]


def test_a_solver_in_the_middle_of_its_work_ends(monkeypatch):
    """A program that takes HiGHS far longer than the test waits: all of it is one run."""
    monkeypatch.setattr(
        solver, "policy",
        lambda: {"solver_gap": 0.0, "solver_nodes": 10**9, "solver_seconds": 60.0},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    weights = rng.integers(1_000, 9_999, (12, 80)).astype(float)
    rows = [LinearConstraint(weights, weights.sum(axis=1) / 2, weights.sum(axis=1) / 2 + 1)]
    cost = -rng.integers(1, 100, 80).astype(float)

    def solve():
        solver.minimize(cost, np.zeros(80), rows=rows, is_whole=True)

    assert abandoned_after(1.0, solve) < 5.0  # of a minute


@pytest.mark.slow
def test_a_long_pdf_ends_and_its_process_with_it(monkeypatch):
    from serving.papers import typesetting

    rows = [
        {"title": f"{n}. SHOP", "place": "somewhere " * 10, "facts": "facts " * 20,
         "scores": "", "reasons": ["a sentence " * 15] * 3}
        for n in range(5_000)
    ]  # fmt: skip
    content = {"title": "List", "lines": ["a"], "statements": [], "foot": "foot", "rows": rows}

    def write():
        typesetting.pdf("list", content, created=datetime(2026, 1, 1, tzinfo=UTC))

    assert abandoned_after(0.5, write) < 5.0  # of half a minute


def test_a_pdf_made_in_a_process_of_its_own_has_the_same_bytes(monkeypatch):
    from serving.papers import typesetting

    rows = [
        {"title": "1. SHOP", "place": "x", "facts": "y", "scores": "z", "reasons": ["é \u202e z"]}
    ]
    content = {"title": "List", "lines": ["a"], "statements": [], "foot": "foot", "rows": rows}
    made = []
    for most in (10**9, 0):
        monkeypatch.setattr(typesetting, "INLINE_CHARACTERS", most)
        made.append(typesetting.pdf("list", content, created=datetime(2026, 1, 1, tzinfo=UTC)))
    assert made[0] == made[1]
    assert made[0].startswith(b"%PDF")
    with pytest.raises(typesetting.PaperError):
        typesetting.pdf("no_such_template", content, created=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_name_that_no_font_can_show_costs_no_paper():
    """It stands as what it is a form of, or as a character that says something was there."""
    from serving.papers import typesetting

    def made(name):
        rows = [{"title": name, "place": name, "facts": "", "scores": "", "reasons": [name]}]
        content = {"title": "List", "lines": ["a"], "statements": [], "foot": "foot", "rows": rows}
        return typesetting.pdf("list", content, created=datetime(2026, 1, 1, tzinfo=UTC))

    for name, shown in (
        ("\uff1d1\uff0b1 PAWN", "=1+1 PAWN"), ("\u65e5\u672c \U0001f389", "\ufffd\ufffd \ufffd"),
        ("Ju\u00e1rez \u65e5 \"\\u{41}\"", "Ju\u00e1rez \ufffd \"\\u{41}\""),
    ):  # fmt: skip
        assert made(name) == made(shown), name


def test_work_that_somebody_waits_for_is_not_stopped():
    work = abandonment.Abandonment()
    context = contextvars.copy_context()
    context.run(abandonment.doing, work)
    assert context.run(abandonment.is_abandoned)() is False
    work.set()
    with pytest.raises(abandonment.AbandonedError):
        context.run(abandonment.check)


def test_a_client_that_goes_ends_the_work_done_for_it(service, url, monkeypatch):
    """Over a real socket: the thread of heavy work is free again within a second."""
    import socket
    from urllib.parse import urlsplit

    from serving.api.routes import plans

    begun, ended = threading.Event(), threading.Event()

    def endless(*_):
        begun.set()
        try:
            while True:
                abandonment.check()
                time.sleep(0.02)
        except abandonment.AbandonedError:
            ended.set()
            raise

    monkeypatch.setattr(plans, "_plan", endless)
    body = b'{"office": "office0", "weeks": 4, "n_investigators": 3}'
    place = urlsplit(url)
    told = (
        f"POST /v1/plan HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.tokens['chief']}\r\n"
        f"Ffl-Risk-Purpose: licensing\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(told + body)
        assert begun.wait(20)
    assert ended.wait(10)


@pytest.mark.slow
def test_a_plan_leaves_the_solver_to_the_releases_of_its_process():
    """The threads of HiGHS are one pool for all: a fresh process, for the first use decides.

    Nor does it say a word on standard output, where a command prints what it found.
    """
    code = """
import numpy as np
from scipy.optimize import LinearConstraint
from features.insight.sharing.attack import bounds
from serving.planning.solving.linear_program import minimize
from tests.test_insight.test_sharing import little

draw = np.random.default_rng(1)
weights = draw.integers(1, 99, (3, 60)).astype(float)
rows = [LinearConstraint(weights, weights.sum(axis=1) / 2, weights.sum(axis=1) / 2 + 9)]
assert minimize(-draw.random(60), np.zeros(60), rows=rows, is_whole=True) is not None
system = little(draw.poisson(15, (4, 5)).tolist())
assert len(bounds(system, draw.random(len(system.cells)) < 0.5).low) > 3
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
