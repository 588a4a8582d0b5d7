"""The service as a process of its own, under BentoML, from its command to its end."""

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from serving.access.audit.writer import chain_key
from serving.settings import sqlite_url
from serving.store.database import Store

PATIENCE_S = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    try:
        request = Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        with urlopen(request, timeout=5) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def listening(pid: int) -> tuple[set[int], set[str]]:
    """Return the TCP ports and the Unix sockets that a process and its children listen on."""
    ports: set[int] = set()
    paths: set[str] = set()
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM:
                ports.add(connection.laddr.port)
        # Pairs of a process and its child have no name, and so nobody else can reach them.
        paths |= {c.laddr for c in process.net_connections("unix") if c.laddr}
    return ports, paths


def n_reachable_by_others(paths: set[str]) -> int:
    """Return how many Unix sockets another account of this machine can open."""
    if os.geteuid() != 0:
        return 0  # only root can become somebody else
    nobody = pwd.getpwnam("nobody")
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        n_open = 0
        for path in paths:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
                n_open += 1
        os._exit(min(n_open, 100))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hold_open(port: int, n: int) -> list[socket.socket]:
    """Open connections that begin a request and never go on."""
    held = []
    for _ in range(n):
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        held.append(one)
    return held


@pytest.mark.slow
def test_the_command_serves_refuses_and_stops(tmp_path: Path):
    port = free_port()
    # A name that a URL would take for its options and an escape.
    home = tmp_path / "100% home?x=1"
    environment = os.environ | {
        "FFL_RISK_HOME": str(home),
        "FFL_RISK_WORKERS": "2",
        "FFL_RISK_HEADER_TIMEOUT": "2",
    }
    environment.pop("PROMETHEUS_MULTIPROC_DIR")
    command = [sys.executable, "-m", "ffl_risk", "serve", "--port", str(port)]
    log = tmp_path / "log"

    # Started elsewhere than in the checkout: what it needs is found through the installation.
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=out, stderr=out)
    # What it starts later inherits it.
    psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE, (512, 512))
    try:
        deadline = time.monotonic() + PATIENCE_S
        while ask(port, "/healthz")[0] != 200 and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        status, body = ask(port, "/readyz")
        assert (status, json.loads(body)["code"]) == (503, "not_ready")
        status, body = ask(port, "/v1/referrals")
        assert (status, json.loads(body)["code"]) == (401, "unauthenticated")
        status, body = ask(port, "/docs.json")
        assert status == 200
        assert "/v1/score" in json.loads(body)["paths"]
        assert "ffl_risk_requests_total" in ask(port, "/metrics")[1]
        # BentoML's own page calls a third party; ours answers in its place.
        assert "googletagmanager" not in ask(port, "/", accept="text/html")[1]
        # Nothing but the service itself listens: nobody else can give it commands.
        ports, paths = listening(process.pid)
        assert ports == {port}
        assert n_reachable_by_others(paths) == 0
        assert (home / "service.db").exists()
        # More connections than there are descriptors: refused, and nothing behind them fails.
        held = hold_open(port, 800)
        time.sleep(3)
        assert ask(port, "/healthz")[0] == 200
        for one in held:
            one.close()
        told = ask(port, "/metrics")[1]
        assert 'ffl_risk_refused_connections_total{why="headers"}' in told
        assert 'ffl_risk_refused_connections_total{why="bound"}' in told
        for name in ("faults", "restarts"):
            counts = re.findall(rf"ffl_risk_background_{name}_total{{.*}} (.+)", told)
            assert counts
            assert set(map(float, counts)) == {0.0}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "Traceback" not in log.read_text()
    assert "Too many open files" not in log.read_text()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("FFL_RISK_WORKERS", "two", "whole number"),
        ("FFL_RISK_WORKERS", "0", "from 1 to 64"),
        ("FFL_RISK_TIMEOUT", "nan", "a number"),
        ("FFL_RISK_STORE_URL", "ledger", "no database URL"),
        ("FFL_RISK_STORE_URL", "mysql://u:secret@h/d", "postgresql://"),
        ("FFL_RISK_STORE_URL_FILE", "/nowhere/url", "cannot be read"),
        ("FFL_RISK_LOG_FORMAT", "yaml", "text or json"),
        ("FFL_RISK_HOME", "/proc/nothing", "cannot be opened"),
        ("FFL_RISK_AUDIT_KEY_FILE", "FOREIGN", "not the one of this store"),
        ("FFL_RISK_AUDIT_KEY_FILE", "/nowhere/key", "missing"),
    ],
)
def test_a_bad_setting_is_one_clear_line_and_nothing_is_half_done(
    tmp_path: Path, monkeypatch, capsys, variable, value, says
):
    from serving.server import supervisor

    home = tmp_path / "home"
    monkeypatch.setenv("FFL_RISK_HOME", str(home))
    if variable == "FFL_RISK_AUDIT_KEY_FILE":
        store = Store.open(sqlite_url(home / "service.db"))
        chain_key(store, home / "audit.key")
        store.close()
    if value == "FOREIGN":
        value = str(tmp_path / "foreign")
        Path(value).write_bytes(b"f" * 32)
    monkeypatch.setenv(variable, value)
    # This process's own log is not the server's to set up.
    monkeypatch.setattr(supervisor, "configure_logs", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["serve", "--port", str(free_port())])
    with pytest.raises(SystemExit) as ended:
        supervisor.main()
    told = capsys.readouterr().err
    assert ended.value.code not in {0, 1}
    assert says in told
    assert told.count("ffl-risk:") == 1
    assert "Traceback" not in told
    assert "secret" not in told
    assert not Path("/nowhere").exists()


def test_two_services_of_one_account_keep_their_metrics_apart(monkeypatch, tmp_path):
    from serving.server.supervisor import _metrics_folder

    shared = tmp_path / "shared"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(shared))
    killed = shared / "ffl-risk-metrics-killed"
    killed.mkdir(parents=True)
    for name in (".in-use", "counter_1.db"):
        (killed / name).touch()
    (shared / "of_somebody_else").mkdir()
    with _metrics_folder() as first, _metrics_folder() as second:
        assert first != second
        assert {path.name for path in shared.iterdir()} == {
            first.name, second.name, "of_somebody_else"
        }  # fmt: skip
    assert [path.name for path in shared.iterdir()] == ["of_somebody_else"]
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    with _metrics_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0
