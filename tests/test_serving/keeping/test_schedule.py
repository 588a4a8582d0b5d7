"""Runs by the clock: their order, what is due, lock, going on after a kill, exit codes, hooks."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.home import write_json
from serving.errors import InvalidRequestError
from serving.schedule import run as running
from serving.schedule.notify import Hooks
from serving.schedule.record import (
    BusyRunError,
    RunRecord,
    StepRecord,
    read_record,
    record_file,
    run_lock,
)
from serving.schedule.routines import Asked, steps_of
from serving.schedule.run import run
from serving.settings import Settings

TODAY = date(2026, 3, 5)
ROOT = Path(__file__).parents[3]
# Stands for `ffl-risk`: says what it was asked, does what the test tells it to, and nothing else.
FAKE = """
import json, os, sys, time
from pathlib import Path
folder = Path(os.environ["FFL_RISK_HOME"])
step = " ".join(sys.argv[1:])
with (folder / "asked").open("a") as stream:
    stream.write(step + "\\n")
told = json.loads((folder / "told.json").read_text()).get(sys.argv[1], {})
for name, content in told.get("writes", {}).items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
if told.get("says"):
    print("ffl-risk: " + told["says"], file=sys.stderr)
time.sleep(told.get("seconds", 0))
raise SystemExit(told.get("code", 0))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "path").mkdir()
    (tmp_path / "path/ffl_risk.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    folder = tmp_path / "home"
    folder.mkdir()
    tell(folder)
    return folder


def tell(home: Path, **steps: Any) -> None:
    write_json(home / "told.json", steps)


def asked_of(home: Path) -> list[str]:
    path = home / "asked"
    found = path.read_text().splitlines() if path.is_file() else []
    path.unlink(missing_ok=True)
    return found


def promote(home: Path, bundle: str = "000001", *, as_of: str = "2026-01-01") -> None:
    write_json(home / "champion.json", {"bundle": bundle, "name": "m", "candidate": "000001"})
    write_json(home / "champion" / bundle / "manifest.json", {"as_of": as_of})


def scored_by(home: Path, bundle: str) -> None:
    write_json(home / "scored.json", {"scored": "000001"})
    write_json(home / "scored/000001/manifest.json", {"champion": bundle})


def nightly(home: Path, **changes: Any) -> Asked:
    return replace(Asked("nightly", TODAY, home), **changes)


def monthly(home: Path, **changes: Any) -> Asked:
    return replace(Asked("monthly", TODAY, home), **changes)


def test_a_night_is_done_in_order_and_once(home: Path):
    promote(home)
    result = run(nightly(home, inbox=Path("/srv/in")))
    assert asked_of(home) == [
        "ingest /srv/in", "collect --json", "check", "score --as-of 2026-03-05", "audit verify",
        "prune", "lists issue",
    ]  # fmt: skip
    assert result.exit_code == 0
    assert result.line.startswith("nightly 2026-03-05: done in ")
    assert "\n" not in result.line
    assert run(nightly(home)).line == "nightly 2026-03-05: done already"
    assert asked_of(home) == []
    assert run(nightly(home), again=True).exit_code == 0
    assert len(asked_of(home)) == 6
    assert run(nightly(home, today=TODAY + timedelta(days=1))).exit_code == 0
    assert len(asked_of(home)) == 6
    kept = home / "runs/nightly.json"
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("advice", "as_of", "is_trained"),
    [
        ("none", "2026-01-01", False),
        ("watch", "2026-01-01", False),
        ("train again", "2026-01-01", True),
        ("none", "2024-12-31", True),
        ("check the source", "2024-12-31", False),
    ],
)
def test_a_month_trains_when_drift_or_age_asks_for_it(home: Path, advice, as_of, is_trained):
    promote(home, as_of=as_of)
    tell(home, drift={"writes": {"reports/drift.json": {"advice": advice}}},
         score={"writes": {"scored.json": {"scored": "000001"},
                           "scored/000001/manifest.json": {"champion": "000001"}}})  # fmt: skip
    result = run(monthly(home))
    asked = asked_of(home)
    assert [a.split()[0] for a in asked] == [
        "collect", "check", "score", "drift", *(["train", "promote"] if is_trained else []),
        "audit", "prune",
    ]  # fmt: skip
    assert (result.exit_code, "train not due" in result.line) == (0, not is_trained)


def test_a_new_champion_is_scored_with_and_a_first_one_is_trained(home: Path):
    manifest = {"champion/000001/manifest.json": {"as_of": "2026-03-01"}}
    tell(home, promote={"writes": {"champion.json": {"bundle": "000001"}, **manifest}})
    assert run(monthly(home)).exit_code == 0
    assert [a.split()[0] for a in asked_of(home)] == [
        "collect", "check", "train", "promote", "score", "audit", "prune",
    ]  # fmt: skip


def test_a_gate_that_refuses_ends_the_step_and_is_told_by_the_exit_code(home: Path):
    promote(home, as_of="2020-01-01")
    scored_by(home, "000001")
    tell(home, promote={"code": 5, "says": "Candidate 000002 is refused by 1 gate."})
    result = run(monthly(home))
    assert result.exit_code == 5
    assert "refused at promote" in result.line
    assert [a.split()[0] for a in asked_of(home)][-2:] == ["audit", "prune"]
    assert run(monthly(home)).exit_code == 0  # told once; the next is the next month's


def test_a_step_that_fails_ends_the_run_and_the_next_goes_on_there(home: Path):
    promote(home)
    tell(home, score={"code": 4, "says": "There is no champion bundle yet."})
    result = run(nightly(home))
    assert result.exit_code == 1
    assert "FAILED at score with exit code 4" in result.line
    assert result.line.endswith(": There is no champion bundle yet.")
    assert [a.split()[0] for a in asked_of(home)] == ["collect", "check", "score"]
    tell(home)
    assert run(nightly(home)).exit_code == 0
    assert [a.split()[0] for a in asked_of(home)] == ["score", "audit", "prune", "lists"]


def test_what_was_done_too_long_ago_is_done_again(home: Path):
    promote(home)
    tell(home, audit={"code": 5})
    assert run(monthly(home, retrain_days=10**6)).exit_code == 1
    path = record_file(home, "monthly")
    content = json.loads(path.read_text())
    long_ago = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    content["steps"][0]["ended_at"] = long_ago
    write_json(path, content)
    asked_of(home)
    tell(home)
    assert run(monthly(home, retrain_days=10**6)).exit_code == 0
    assert [a.split()[0] for a in asked_of(home)] == ["collect", "audit", "prune"]


RUN = """
import sys
from datetime import date
from pathlib import Path
sys.path.insert(0, {root!r})
from serving.schedule.routines import Asked
from serving.schedule.run import run
run(Asked("nightly", date(2026, 3, 5), Path(sys.argv[1])))
"""


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_run_shuts_out_others_while_its_step_lives_and_then_goes_on(home: Path):
    promote(home)
    tell(home, score={"seconds": 1.5})
    program = [sys.executable, "-c", RUN.format(root=str(ROOT)), str(home)]
    process = subprocess.Popen(program)
    until(lambda: (home / "asked").is_file() and "score" in (home / "asked").read_text())
    with pytest.raises(BusyRunError, match="under way"):
        run(nightly(home))
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(BusyRunError, match="under way"):  # its score still works
        run(nightly(home))
    record = read_record(record_file(home, "nightly"))
    assert [step.name for step in record.steps] == ["collect", "check"]
    assert not record.is_over
    until(lambda: _is_free(home))
    asked_of(home)
    tell(home)
    assert run(nightly(home)).exit_code == 0
    assert [a.split()[0] for a in asked_of(home)] == ["score", "audit", "prune", "lists"]


def _is_free(home: Path) -> bool:
    try:
        with run_lock(home):
            return True
    except BusyRunError:
        return False


def test_a_step_ended_by_a_signal_is_told_as_a_shell_would(home: Path, monkeypatch):
    promote(home)

    class Killed:
        returncode = -9

    monkeypatch.setattr(running.subprocess, "run", lambda *_, **__: Killed())
    assert run(nightly(home)).exit_code == 137


def test_only_the_newest_logs_are_kept(home: Path, monkeypatch):
    monkeypatch.setattr(running, "_KEPT_LOGS", 3)
    tell(home, collect={"code": 1})  # one step is enough for a log
    for n in range(5):
        run(nightly(home, today=TODAY + timedelta(days=n)))
        for age, log in enumerate(sorted((home / "runs").glob("*.log"), reverse=True)):
            os.utime(log, (time.time() - age, time.time() - age))
    assert [p.name for p in sorted((home / "runs").glob("*.log"))] == [
        f"nightly-2026-03-0{n}.log" for n in (7, 8, 9)
    ]


class Receiver(http.server.BaseHTTPRequestHandler):
    got: list[Any] = []  # noqa: RUF012 - one for the test's server
    status = 200

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        type(self).got.append((self.headers["content-type"], json.loads(content)))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def webhook():
    Receiver.got, Receiver.status = [], 200
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?token=Zq9Secret"
    server.shutdown()
    thread.join()
    server.server_close()


def hooks(home: Path, **settings: str) -> Hooks:
    return Hooks.of(replace(Settings(home, "", home / "audit.key"), **settings))


def test_a_command_and_an_address_are_told_in_one_line(home: Path, webhook: str):
    promote(home)
    result = run(nightly(home))
    program = f"{sys.executable} -c \"open('{home}/line', 'w').write(input())\""
    assert hooks(home, notify_command=program, notify_url=webhook).tell(result) == []
    assert (home / "line").read_text() == result.line
    ((kind, document),) = Receiver.got
    assert kind == "application/json"
    assert (document["text"], document["exit_code"]) == (result.line, 0)
    assert document["steps"]["score"] == "done"
    assert hooks(home, notify_url=webhook, notify_on="failure").tell(result) == []
    assert len(Receiver.got) == 1


@pytest.mark.parametrize("status", [302, 403, 500])
def test_an_address_that_refuses_is_told_without_its_secret(home: Path, webhook: str, status: int):
    promote(home)
    Receiver.status = status
    (fault,) = hooks(home, notify_url=webhook).tell(run(nightly(home)))
    assert str(status) in fault
    assert "Zq9Secret" not in fault


@pytest.mark.parametrize("command", ["/no/such/program", f"{sys.executable} -c 'exit(3)'"])
def test_a_command_that_fails_is_told(home: Path, command: str):
    promote(home)
    (fault,) = hooks(home, notify_command=command).tell(run(nightly(home)))
    assert "FFL_RISK_NOTIFY_COMMAND" in fault


@pytest.mark.parametrize(
    "wrong",
    [
        {"notify_command": "mail 'open"},
        {"notify_command": "cat >> told"},
        {"notify_url": "ftp://x"},
        {"notify_url": "x"},
    ],
)
def test_hooks_that_cannot_be_used_are_refused_before_anything_is_done(home: Path, wrong):
    with pytest.raises(InvalidRequestError, match="FFL_RISK_NOTIFY"):
        hooks(home, **wrong)


def test_a_refused_delivery_is_told_and_ends_nothing(home: Path, tmp_path: Path):
    promote(home)
    (tmp_path / "inbox").mkdir()
    tell(home, receive={"code": 5, "says": "1 taken in, 1 refused (traces.csv: no header)"})
    result = run(nightly(home, inbox=tmp_path / "inbox"))
    assert asked_of(home)[0] == f"receive {tmp_path / 'inbox'}"
    assert result.exit_code == 3
    assert "done, refused at ingest in" in result.line
    assert result.line.endswith(": 1 taken in, 1 refused (traces.csv: no header)")
    tell(home, receive={"code": 5, "says": "1 refused"}, check={"code": 3, "says": "Damaged."})
    result = run(nightly(home, inbox=tmp_path / "inbox"), again=True)
    assert (result.exit_code, "FAILED at check" in result.line) == (1, True)


@pytest.mark.parametrize("code", [2, 3, 4, 5, 137])
def test_no_failure_looks_like_a_run_that_was_done(code: int):
    """Timers and alarms take 5 for done, and a chain that does not hold ends its step with 5."""
    ended = datetime.now(UTC).isoformat()
    steps = [
        StepRecord("promote", "refused", 1.0, 5, ended),
        StepRecord("audit", "failed", 1.0, code, ended),
    ]
    record = RunRecord("monthly", "2026-03", ended, steps=steps)
    assert running._exit_code(record) == (code if code > 128 else 1)


def test_what_was_delivered_since_a_failure_is_taken_in_before_it_goes_on(
    home: Path, tmp_path: Path
):
    promote(home)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    tell(home, lists={"code": 5, "says": "The records are too old."})
    assert run(nightly(home, inbox=inbox)).exit_code == 1
    asked_of(home)
    # What is still arriving is no news: the run goes on where it stood.
    (inbox / "older.csv.part").write_text("half")
    assert run(nightly(home, inbox=inbox, settled_seconds=0.0)).exit_code == 1
    assert asked_of(home) == ["lists issue"]
    (inbox / "newer.csv").write_text("newer records")
    assert run(nightly(home, inbox=inbox)).exit_code == 1
    assert asked_of(home) == ["lists issue"]
    tell(home)
    assert run(nightly(home, inbox=inbox, settled_seconds=0.0)).exit_code == 0
    steps = [a.split()[0] for a in asked_of(home)]
    assert steps == ["receive", "collect", "check", "score", "audit", "prune", "lists"]


def test_every_step_is_a_command_there_is(tmp_path: Path):
    """The options that runs use are options of `ffl-risk`: its own parser reads them."""
    import click
    import typer

    from ffl_risk import app

    root = typer.main.get_command(app)
    for routine in ("nightly", "monthly"):
        for step in steps_of(Asked(routine, TODAY, tmp_path, inbox=tmp_path)):
            command, words = root, list(step.arguments)
            while isinstance(command, click.Group) or hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            command.make_context(step.name, words, resilient_parsing=False)


def test_a_row_that_collect_sets_aside_ends_no_night_and_is_told(home: Path):
    promote(home)
    tell(home, collect={"code": 5, "says": "3 refused (inspections out_of_range 3)"})
    result = run(nightly(home))
    assert [a.split()[0] for a in asked_of(home)][-1] == "lists"
    assert result.exit_code == 3
    assert "done, refused at collect" in result.line
    assert result.line.endswith(": 3 refused (inspections out_of_range 3)")
