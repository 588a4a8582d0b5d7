"""The service as a process of its own, under BentoML, from its command to its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

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


@pytest.mark.slow
def test_the_command_serves_refuses_and_stops(tmp_path: Path):
    port = free_port()
    environment = {**os.environ, "FFL_RISK_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "ffl_risk", "serve", "--port", str(port)]
    log = tmp_path / "log"
    # Started elsewhere than in the checkout: what it needs is found through the installation.
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=out, stderr=out)
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
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "Traceback" not in log.read_text()
