"""A real server killed, restarted and dawdled at: no acknowledged write is lost, nobody starves."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from serving.access.accounts import Directory
from serving.access.audit.writer import load_key, verify
from serving.store.database import Store
from serving.store.tables import AUDIT, DECISIONS, EVENTS, LISTS, OUTCOMES
from tests.test_serving.published_country import (
    AS_OF,
    dealer,
    publish_country,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("crash")]
START_SECONDS = 120


class Country:
    """A published country on disk, its tokens, and how to serve it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        publish_country(home)
        store = self.store()
        accounts = Directory(store)
        self.tokens = {}
        for name, role in (
            ("chief", "supervisor"), ("feed", "scheduler"), ("analyst", "analyst"),
        ):  # fmt: skip
            accounts.add_account(name, role, areas=["nation"])
            self.tokens[name] = accounts.issue_token(name)
        store.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def store(self) -> Store:
        return Store.open(f"sqlite:///{self.home / 'service.db'}")

    @contextmanager
    def serving(self, timeout: float = 4) -> Iterator[subprocess.Popen[bytes]]:
        """Run `ffl-risk serve` until the block ends; whatever is left of it is killed.

        `timeout` is what one request may take, in seconds: short where dawdlers are tried.
        """
        program = Path(sys.executable).with_name("ffl-risk")
        environment = os.environ | {
            "FFL_RISK_HOME": str(self.home),
            "FFL_RISK_TIMEOUT": f"{timeout:g}",
            "FFL_RISK_TABLE_REFUSED_DAYS": "1000000",
            "FFL_RISK_WORKERS": "2",
        }
        # The folder of this process's own metrics is not the server's.
        environment.pop("PROMETHEUS_MULTIPROC_DIR")
        log = (self.home / "serve.log").open("ab")
        process = subprocess.Popen(
            [program, "serve", "--port", str(self.port)],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            self.wait_until_ready()
            yield process
        finally:
            kill(process)
            log.close()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                with closing(connection):
                    connection.request("GET", "/readyz")
                    if connection.getresponse().status == 200:
                        return
            time.sleep(0.1)
        pytest.fail((self.home / "serve.log").read_text()[-2_000:])


def kill(process: subprocess.Popen[bytes], *, with_workers: bool = True) -> None:
    """Kill the server at once, as a machine short of memory would."""
    with suppress(psutil.NoSuchProcess):
        workers = psutil.Process(process.pid).children(recursive=True)
        for victim in [psutil.Process(process.pid), *(workers if with_workers else [])]:
            victim.kill()
        process.wait(timeout=20)
        # Workers whose supervisor is gone end by themselves.
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Country:
    return Country(tmp_path_factory.mktemp("home"))


KINDS = ("events", "outcomes", "decisions", "lists", "scores")


class Writers:
    """Threads that write without pause and note what was acknowledged."""

    def __init__(self, country: Country, run: str) -> None:
        self.country, self.run = country, run
        self.acknowledged: dict[str, set[Any]] = defaultdict(set)
        self.stopped = threading.Event()
        work: tuple[Callable[[int], None], ...] = (
            self._event, self._outcome, self._decision, self._list
        )  # fmt: skip
        self.list_id = self._ask("/v1/rank", "chief", {"k": 40})["list_id"]
        self.threads = [threading.Thread(target=self._repeat, args=(one,)) for one in work]
        for thread in self.threads:
            thread.start()

    def n(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def wait_for(self, n: int, seconds: float = 30) -> None:
        """Wait for so many more, and for one of each kind: a busy machine may serve one last."""
        start, deadline = self.n(), time.monotonic() + seconds

        def is_enough() -> bool:
            return self.n() >= start + n and all(self.acknowledged[kind] for kind in KINDS)

        while not is_enough() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert is_enough(), {kind: len(self.acknowledged[kind]) for kind in KINDS}

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join(timeout=30)

    def _repeat(self, write: Callable[[int], None]) -> None:
        n = 0
        while not self.stopped.is_set():
            n += 1
            try:
                write(n)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # not acknowledged: the server is not there

    def _ask(self, path: str, who: str, body: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.country.port, timeout=20)
        try:
            headers = {
                "Authorization": f"Bearer {self.country.tokens[who]}",
                "Ffl-Risk-Purpose": "licensing",
                "Content-Type": "application/json",
            }
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            # Said to come back later, or not told in the seconds that dawdlers are given.
            if answer.status in (503, 504):
                raise ConnectionError
            assert answer.status == 200, content
            found: dict[str, Any] = json.loads(content)
            return found
        finally:
            connection.close()

    def _event(self, n: int) -> None:
        row = {
            "tip_id": f"{self.run}-{n}", "dealer": dealer(n % 40), "received_on": "2026-02-01",
            "source": "public", "is_self_report": False,
        }  # fmt: skip
        self._ask("/v1/events", "feed", {"table": "tips", "rows": [row]})
        self.acknowledged["events"].add(f"{self.run}-{n}")

    def _outcome(self, n: int) -> None:
        body = {
            "inspection_id": f"{self.run}-{n}", "dealer": dealer(n % 200), "kind": "trace",
            "opened_on": "2026-02-01", "outcome": "none",
        }  # fmt: skip
        self._ask("/v1/outcomes", "chief", body)
        self.acknowledged["outcomes"].add(f"{self.run}-{n}")

    def _decision(self, n: int) -> None:
        listed = self._ask("/v1/rank", "chief", {"k": 1, "random_share": 0})
        who = listed["rows"][0]["dealer"]
        body = {"list_id": listed["list_id"], "dealer": who, "decision": "accept"}
        self.acknowledged["lists"].add(listed["list_id"])
        self.acknowledged["decisions"].add(self._ask("/v1/decisions", "chief", body)["decision_id"])

    def _list(self, n: int) -> None:
        self._ask("/v1/score", "chief", {"dealers": [dealer(n % 200)]})
        self.acknowledged["scores"].add(f"{self.run}-{n}")

    def check(self) -> None:
        """Nothing acknowledged is missing, and each acknowledged access is on record."""
        store = self.country.store()
        with store.read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            for name, column in (
                ("events", EVENTS.c.key), ("outcomes", OUTCOMES.c.inspection_id),
                ("decisions", DECISIONS.c.decision_id), ("lists", LISTS.c.list_id),
            ):  # fmt: skip
                kept = set(connection.scalars(sa.select(column)))
                assert self.acknowledged[name], f"no {name} were written"
                assert self.acknowledged[name] <= kept
            n_scores = sa.select(sa.func.count()).where(AUDIT.c.action == "score")
            assert connection.scalar(n_scores) >= len(self.acknowledged["scores"])
        verdict = verify(store, load_key(self.country.home / "audit.key"))
        assert verdict.is_intact, verdict.why
        assert verdict.n_records >= self.n()
        store.close()


def ask(country: Country, path: str, who: str, body: Any, **more: str) -> tuple[int, Any]:
    """Ask over a new connection, which either worker may take."""
    connection = http.client.HTTPConnection("127.0.0.1", country.port, timeout=30)
    with closing(connection):
        headers = {
            "Authorization": f"Bearer {country.tokens[who]}",
            "Ffl-Risk-Purpose": "licensing",
            "Content-Type": "application/json",
        }
        connection.request("POST", path, json.dumps(body), headers | more)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_two_workers_answer_alike(country: Country):
    with country.serving() as process:
        assert len(workers_of(process)) == 2
        keep_once(country)
        listed = ask(country, "/v1/rank", "chief", {"k": 1, "random_share": 0})[1]
        who = listed["rows"][0]["dealer"]
        today = datetime.now(UTC).date()
        visit = {
            "inspection_id": "ALIKE-1", "dealer": who, "outcome": "none",
            "opened_on": (today - timedelta(days=1)).isoformat(),
        }  # fmt: skip
        assert ask(country, "/v1/outcomes", "chief", visit)[0] == 200
        tip = {
            "tip_id": "ALIKE", "dealer": who, "received_on": "2026-02-01", "source": "public",
            "is_self_report": False,
        }  # fmt: skip
        assert ask(country, "/v1/events", "feed", {"table": "tips", "rows": [tip]})[0] == 200
        again = visit | {"inspection_id": "ALIKE-2", "opened_on": today.isoformat()}
        for _ in range(12):
            rows = ask(country, "/v1/rank", "chief", {"k": 200, "random_share": 0})[1]["rows"]
            assert who not in {row["dealer"] for row in rows}
            assert ask(country, "/v1/outcomes", "chief", again)[0] == 409
        deadline = time.monotonic() + 60
        while True:
            found = [ask(country, "/v1/score", "chief", {"dealers": [who]})[1] for _ in range(12)]
            is_alike = all(one == found[0] for one in found)
            if is_alike and found[0]["scores"][0]["as_of"] != AS_OF.isoformat():
                break
            assert time.monotonic() < deadline, found
        # So long after the records end, all others keep the day of the table.
        assert found[0]["basis"]["as_of"] == AS_OF.isoformat()


def keep_once(country: Country) -> None:
    """Send one write many times at once under one key: it is kept once, and answered alike."""
    for n in range(3):
        key, start = {"Idempotency-Key": f"once {n}"}, threading.Barrier(8)

        def send(_: int, key: dict[str, str] = key, start: threading.Barrier = start) -> Any:
            start.wait()
            return ask(country, "/v1/rank", "chief", {"k": 30}, **key)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(8)))
        assert [status for status, _ in answers] == [200] * 8
        assert all(answer == answers[0][1] for _, answer in answers)


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "resource_tracker" not in " ".join(child.cmdline())
    ]


def test_kill_9_during_writes_loses_nothing_acknowledged(country: Country):
    for attempt in range(2):
        with country.serving() as process:
            writers = Writers(country, f"kill{attempt}")
            writers.wait_for(60 + 37 * attempt)
            kill(process, with_workers=attempt == 0)
            writers.stop()
            writers.check()


def test_a_restart_under_load_loses_nothing_acknowledged_and_writing_goes_on(country: Country):
    with country.serving() as first:
        writers = Writers(country, "restart")
        writers.wait_for(40)
        first.terminate()
        assert first.wait(timeout=30) == 0
        assert writers.n() > 40
        n_before = writers.n()
        with country.serving():
            writers.wait_for(40)
            _slow_clients_do_not_starve_others(country)
            writers.stop()
            writers.check()
            assert writers.n() > n_before


def _slow_clients_do_not_starve_others(country: Country) -> None:
    """Many connections that never finish their request leave the others their pace."""
    token = country.tokens["chief"]
    head = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    openings = (
        b"POST /v1/sc", head.encode(), f"{head}Content-Length: 5000\r\n\r\n{{".encode(),
        b"GET /docs.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20,  # never reads what comes back
    )  # fmt: skip
    dawdlers = []
    try:
        for n in range(300):
            one = socket.create_connection(("127.0.0.1", country.port), timeout=10)
            one.sendall(openings[n % len(openings)])
            dawdlers.append(one)
        times = []
        for _ in range(20):
            start = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", country.port, timeout=20)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
            times.append(time.perf_counter() - start)
        assert sorted(times)[10] < 0.5
        # Whoever sends half a body is told so when its time is up, and keeps no place.
        dawdlers[2].settimeout(20)
        assert b" 504 " in dawdlers[2].recv(100)
    finally:
        for one in dawdlers:
            one.close()
