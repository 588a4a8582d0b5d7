"""The demonstration ends in a service that does what it is there to show."""

import json
import os
import socket
import subprocess
import sys

import pytest

from serving.commands import demo
from serving.commands.launch import server_environment
from serving.errors import NotReadyError
from serving.settings import Settings


@pytest.fixture
def ended(monkeypatch, tmp_path):
    """Run it with steps that are there already; return the settings that it serves with."""
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path))
    allowed = {}
    monkeypatch.setattr(
        demo, "_run", lambda step: allowed.update({step.name: os.environ.get(demo.AGE_SETTING)})
    )
    monkeypatch.setattr(demo, "_as_of", lambda *, is_real: "2024-01-01")
    served = []

    def serve(_host: str, _port: int) -> None:
        environment = server_environment()
        monkeypatch.setenv(demo.AGE_SETTING, environment[demo.AGE_SETTING])
        served.append(Settings.from_environment().refused_days)

    monkeypatch.setattr(demo, "exec_server", serve)

    def run() -> int:
        demo.run(is_real=False, port=0, do_serve=True)
        assert allowed["rank"] == str(served[-1])  # what lists by hand is held to what serves
        return served[-1]

    return run


def test_lists_can_be_made_by_the_records_of_the_demonstration(ended, monkeypatch):
    monkeypatch.setenv(demo.AGE_SETTING, "")  # put back at the end
    monkeypatch.delenv(demo.AGE_SETTING)
    assert ended() == demo.DEMO_DAYS


def test_a_limit_that_was_set_stays(ended, monkeypatch):
    monkeypatch.setenv(demo.AGE_SETTING, "90")
    assert ended() == 90


@pytest.mark.slow
def test_the_real_records_go_from_files_to_a_list_and_a_token(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != demo.AGE_SETTING}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ffl_risk", "demo", "--real", "--no-serve"],
        env=environment | {"FFL_RISK_HOME": str(tmp_path), "PYTHONPATH": os.getcwd()},  # noqa: PTH109
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Dealers by priority" in done.stdout
    assert "Sign in at http://localhost:3000 with this token" in done.stdout


@pytest.mark.parametrize(("is_real", "day"), [(False, "2025-01-01"), (True, "2024-01-01")])
def test_the_list_of_the_simulated_country_knows_nothing_of_its_future(
    monkeypatch, tmp_path, is_real, day
):
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path))
    monkeypatch.setattr(demo, "current", lambda _home, _kind: "000001")
    folder = tmp_path / "champion" / "000001"
    folder.mkdir(parents=True)
    manifest = {"as_of": "2024-01-01", "trained_on": "2025-01-01"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert demo._as_of(is_real=is_real) == day


def test_a_port_that_is_taken_is_told_before_anything_is_begun(monkeypatch):
    begun: list[str] = []
    monkeypatch.setattr(demo, "_run", lambda step: begun.append(step.name))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(NotReadyError, match=f"port {port}") as refused:
            demo.run(is_real=False, port=port, do_serve=True)
    assert begun == []
    assert "--port" in refused.value.fix
