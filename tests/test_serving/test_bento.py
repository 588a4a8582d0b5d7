"""`bentoml build` makes a bento that runs, out of its own copy of the sources."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from serving.versions import code_version
from tests.test_serving.test_process import listening, n_reachable_by_others

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bento")
    names = {"BENTOML_HOME": folder / "bentoml", "FFL_RISK_HOME": folder / "state"}
    # BentoML looks for uv on the PATH.
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    found = os.environ | {name: str(place) for name, place in names.items()} | {"PATH": path}
    found.pop("PROMETHEUS_MULTIPROC_DIR")
    return found


@pytest.fixture(scope="module")
def bento(environment: dict[str, str]) -> Path:
    subprocess.run(
        [PROGRAMS / "bentoml", "build", "--output", "tag", "--version", "tested"],
        cwd=ROOT, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    return Path(environment["BENTOML_HOME"]) / "bentos/ffl-risk/tested"


def test_it_holds_the_sources_and_the_locked_versions(bento: Path):
    kept = {path.name for path in (bento / "src").iterdir() if not path.name.startswith(".")}
    folders = {"features", "models", "serving", "training"}
    assert folders | {"ffl_risk.py", "pyproject.toml"} <= kept
    assert not kept & {"tests", "docs", "var", ".venv"}
    for name in ("serving/web/static", "serving/store/migrations/versions", "models/policy.toml"):
        assert (bento / "src" / name).exists(), name
    locked = set((ROOT / "requirements.lock").read_text().split())
    assert locked <= set((bento / "env/python/requirements.txt").read_text().split())


def test_it_serves(bento: Path, environment: dict[str, str], tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAMS / "bentoml", *command], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
        try:
            assert answer(port, "/healthz", seconds=120) == (200, b"ok\n")
            # Nothing is published in its home, and it says so instead of failing to start.
            status, content = answer(port, "/readyz", seconds=20)
            assert (status, json.loads(content)["code"]) == (503, "not_ready")
            status, content = answer(port, "/docs.json", seconds=20)
            assert json.loads(content)["info"]["version"] == code_version()
            # BentoML's supervisor takes commands; only this account can reach where it listens.
            ports, paths = listening(process.pid)
            assert ports == {port}
            assert any("ffl-risk-control" in path for path in paths)
            assert n_reachable_by_others(paths) == 0
        finally:
            process.terminate()
            process.wait(timeout=60)


def answer(port: int, path: str, *, seconds: float) -> tuple[int, bytes]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            with closing(connection):
                connection.request("GET", path)
                found = connection.getresponse()
                content = found.read()
            if content and b"starting" not in content:
                return found.status, content
        time.sleep(0.1)
    raise AssertionError(f"{path} was not answered")


def test_a_source_tree_that_is_not_installed_knows_its_version(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from serving import versions

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", absent)
    assert versions.code_version.__wrapped__() == code_version()
