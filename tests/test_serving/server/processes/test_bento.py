"""`bentoml build` makes a bento that runs, out of its own copy of the sources and its champion."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from features.home import write_json
from models.bundle.bundle import Bundle
from models.bundle.profile import Profile
from models.classifier import RiskClassifier
from models.errors import BundleError
from models.policy import Policy
from serving.variables import VARIABLES
from serving.versions import code_version
from tests.test_serving.server.processes.test_process import listening, n_reachable_by_others
from training.commands.promote import adopt_stored
from training.errors import NotTrainedError
from training.progress import Steps
from training.registry.model_store import content_version, keep_champion, stored_champion
from training.registry.promotion import Champion, read_champion

ROOT = Path(__file__).parents[4]
PROGRAMS = Path(sys.executable).parent

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bento")]  # built once, not by each process


def small_bundle(folder: Path, *, name: str = "m") -> None:
    """Write a bundle of one head on invented numbers."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"traces_count_1y": rng.normal(size=400)})
    y = (X.iloc[:, 0] + rng.normal(size=400) > 0).astype(int)
    head = RiskClassifier(n_repeats=1, max_rounds=5).fit(X, y)
    margins = {"compliance": np.asarray(head.predict_margin(X))}
    manifest = {
        "name": name, "as_of": "2026-01-01", "restriction": "restricted", "variant": "full",
        "data_fingerprint": "0" * 64, "git_commit": "unknown",
    }  # fmt: skip
    signals = [{"name": "traces_count_1y"}]
    folder.parent.mkdir(parents=True, exist_ok=True)
    Bundle(
        {"compliance": head}, Policy.read(), signals, Profile.of(X, margins), "# Card\n", manifest
    ).save(folder)


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
def promoted(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state folder whose champion was put in the model store."""
    home = tmp_path_factory.mktemp("promoted")
    (home / "champion").mkdir()
    small_bundle(home / "champion/000001")
    write_json(
        home / "champion.json",
        {"bundle": "000001", "name": "m", "version": "7", "candidate": "000003", "history": []},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", environment["BENTOML_HOME"])
        champion = read_champion(home)
        assert keep_champion(home, champion).startswith("ffl-risk-champion:")
        assert keep_champion(home, champion) is None  # there already: nothing is done again
    return home


@pytest.fixture(scope="module")
def bento(environment: dict[str, str], promoted: Path) -> Path:
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


def test_it_names_the_champion_with_its_labels(bento: Path, environment, promoted: Path):
    described = yaml.safe_load((bento / "bento.yaml").read_text())
    version = content_version(promoted / "champion/000001")
    assert [model["tag"] for model in described["models"]] == [f"ffl-risk-champion:{version}"]
    kept = Path(environment["BENTOML_HOME"]) / "models/ffl-risk-champion" / version
    model = yaml.safe_load((kept / "model.yaml").read_text())
    expected = {"stage": "champion", "model": "m", "version": "7", "candidate": "000003"}
    assert model["labels"].items() >= expected.items()
    assert model["labels"]["restriction"] == "restricted"
    assert model["metadata"]["data_fingerprint"] == "0" * 64
    assert {p.stat().st_mode & 0o077 for p in kept.rglob("*")} == {0}


def test_what_went_back_is_the_newest_again(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    champions = []
    for number in ("000001", "000002"):
        small_bundle(tmp_path / "champion" / number, name=f"m{number}")
        champions.append(Champion(number, "m", number, ""))
    first, second = (keep_champion(tmp_path, champion) for champion in champions)
    assert first != second
    assert stored_champion(tmp_path / "bentoml/models").tag == second
    assert keep_champion(tmp_path, champions[0]) == first
    stored = stored_champion(tmp_path / "bentoml/models")
    assert (stored.tag, stored.entry["version"]) == (first, "000001")


def test_its_dockerfile_is_sound_and_its_first_command_puts_the_model_in_force(
    bento: Path, environment: dict[str, str], tmp_path: Path
):
    """What `bentoml containerize` would hand to a container engine, run as far as one is needed."""
    target = str(tmp_path / "Dockerfile")
    write = f"import bentoml; bentoml.container.get_containerfile('ffl-risk:tested', {target!r})"
    # From /, as docs/operations.md has it: BentoML reads a template only below the current folder.
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", write], cwd="/", env=environment, check=True
    )
    lines = (tmp_path / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    told = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert {word for word, _ in told} <= {
        "FROM", "ENV", "ARG", "RUN", "COPY", "ADD", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT",
        "VOLUME", "HEALTHCHECK", "STOPSIGNAL", "CMD",
    }  # fmt: skip
    last = dict(told)
    assert last["USER"] == "bentoml"
    assert last["VOLUME"] == "/var/lib/ffl-risk"
    assert "/healthz" in last["HEALTHCHECK"]
    env = dict(rest.split("=", 1) for word, rest in told if word == "ENV")
    assert env["FFL_RISK_HOME"] == "/var/lib/ffl-risk"
    unknown = [
        n
        for n in env
        if n.startswith("FFL_RISK_") and n not in {v.name for v in VARIABLES.values()}
    ]
    assert unknown == []
    shell, flag, command = json.loads(last["CMD"])
    adoption, _, serving = command.partition(" && exec ")
    assert serving.startswith("python -P -m ffl_risk serve --host 0.0.0.0")

    # In the image the bento and its models lie in one folder.
    shutil.copytree(bento, tmp_path / "image", ignore=shutil.ignore_patterns("env"))
    shutil.copytree(Path(environment["BENTOML_HOME"]) / "models", tmp_path / "image/models")
    inside = environment | {
        "BENTO_PATH": str(tmp_path / "image"),
        "BENTOML_HOME": str(tmp_path / "elsewhere"),
        "PYTHONPATH": str(tmp_path / "image/src"),
        "FFL_RISK_HOME": str(tmp_path / "volume"),
    }
    for _ in range(2):  # a container that starts again keeps what is in force
        done = subprocess.run(
            [shell, flag, adoption], env=inside, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "nothing is adopted" in done.stdout + done.stderr
    champion = read_champion(tmp_path / "volume")
    assert (champion.name, champion.version, champion.candidate) == ("m", "7", "")
    assert champion.history == ()
    assert Bundle.load(tmp_path / "volume/champion" / champion.bundle).manifest["name"] == "m"


def test_a_model_that_was_changed_is_not_adopted(environment, bento: Path, tmp_path: Path):
    models = tmp_path / "models"
    shutil.copytree(Path(environment["BENTOML_HOME"]) / "models", models)
    (card,) = models.glob("*/*/bundle/card.md")
    card.write_text("# Another card\n")
    with pytest.raises(BundleError, match=r"card\.md"):
        adopt_stored(tmp_path / "home", models, Steps(), if_none=False)
    assert read_champion(tmp_path / "home") is None
    with pytest.raises(NotTrainedError, match="holds no champion"):
        adopt_stored(tmp_path / "home", tmp_path / "absent", Steps(), if_none=False)


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
