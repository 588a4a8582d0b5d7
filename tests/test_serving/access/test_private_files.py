"""Nothing that the project writes can be read by another account, whatever the umask was."""

import os
import stat
import subprocess
import sys
from datetime import date

import pytest

from features.home import keep_private, tighten
from features.ingest import ingest
from features.warehouse import Warehouse
from serving.runtime import Runtime
from serving.scores import holds
from serving.scores.publish import publish
from serving.settings import Settings
from tests.test_serving.published_country import AS_OF, write_champion, write_country
from training.registry.tracker import Tracker


@pytest.fixture(params=[0o022, 0o000], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def readable_by_others(folder):
    """What another account may read, write or enter, with its mode."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077 and not path.is_symlink():
            found[str(path.relative_to(folder))] = oct(mode)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o000], ids=oct, indirect=True)
def test_a_home_that_did_everything_is_private(tmp_path, umask):
    home = tmp_path / "home"
    write_country(tmp_path / "files")
    os.umask(umask)
    ingest(tmp_path / "files", home / "warehouse", today=date(2026, 6, 1))
    warehouse = Warehouse.open(home / "warehouse")
    write_champion(home, warehouse)
    os.umask(umask)
    publish(warehouse, AS_OF, home=home)
    os.umask(umask)
    with Tracker(home) as tracker:
        run = {"experiment": "x", "name": "refused", "metrics": {"m": 1.0}}
        tracker.ask("log_run", run=run, children=[])
    os.umask(umask)
    url = f"sqlite:///{home / 'service.db'}"
    running = Runtime.open(Settings(home, url, home / "audit.key", refused_days=1_000_000))
    running.load()
    running.directory.add_account("maria", "analyst")
    holds.place(running.store, "1-10-00001", owners=[], starts_on=date(2026, 1, 1))
    running.close()
    names = {path.name for path in home.rglob("*")}
    assert {"mlflow.db", "holds.parquet", "scored.parquet", "service.db", "audit.key"} <= names
    assert readable_by_others(home) == {}


@pytest.mark.slow
def test_a_command_makes_private_files(tmp_path, umask):
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-m", "ffl_risk", "users", "add", "maria", "--role", "analyst"],
        env={**os.environ, "FFL_RISK_HOME": str(home)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (home / "service.db").is_file()
    assert readable_by_others(home) == {}


def test_a_home_from_before_is_made_private(tmp_path, umask):
    (tmp_path / "home" / "scored").mkdir(parents=True)
    old = tmp_path / "home" / "scored" / "holds.parquet"
    old.write_bytes(b"x")
    (tmp_path / "home" / "run").write_bytes(b"x")
    (tmp_path / "home" / "run").chmod(0o755)
    (tmp_path / "outside").write_bytes(b"x")
    (tmp_path / "home" / "link").symlink_to(tmp_path / "outside")
    assert len(readable_by_others(tmp_path / "home")) > 0
    keep_private(tmp_path / "home")
    assert readable_by_others(tmp_path / "home") == {}
    assert stat.S_IMODE((tmp_path / "home" / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o666 & ~umask
    assert tighten(tmp_path / "home") == 0
