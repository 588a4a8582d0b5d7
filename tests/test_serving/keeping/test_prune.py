"""What is removed and what stays: nothing that a list was made from, nothing that is in force."""

import os
import time
from datetime import date
from pathlib import Path

import pytest

from features.home import write_json
from features.warehouse.manifest import empty_manifest, write_lock
from serving.keeping import prune as pruning
from serving.keeping.prune import prune
from serving.store.database import Store, instant
from serving.store.tables import LISTS


def folder(path: Path, *, days: float) -> Path:
    path.mkdir(parents=True)
    (path / "content").write_bytes(b"x" * 100)
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for number in range(1, 8):
        folder(tmp_path / f"scored/{number:06d}", days=100 - number)
    folder(tmp_path / "scored/.staging-x", days=2)
    folder(tmp_path / "scored/.staging-y", days=0.1)
    write_json(tmp_path / "scored.json", {"scored": "000002"})
    for number in range(1, 16):
        folder(tmp_path / f"candidates/{number:06d}", days=500 - number)
    history = [{"candidate": "000001"}]
    write_json(tmp_path / "champion.json", {"candidate": "000014", "history": history})
    folder(tmp_path / "champion/000001", days=900)
    return tmp_path


@pytest.fixture
def store(tmp_path: Path):
    opened = Store.open(f"sqlite:///{tmp_path / 'service.db'}")
    row = {
        "list_id": "L-1", "issued_at": instant(), "owner": "chief", "area": "nation",
        "bundle": "000001", "scored": "000003", "recipe": {}, "document": b"", "sha256": "0" * 64,
    }  # fmt: skip
    with opened.write() as connection:
        connection.execute(LISTS.insert().values(**row, as_of=date(2026, 1, 1)))
    yield opened
    opened.close()


def test_what_is_old_and_unused_goes(home: Path, store: Store):
    trial = prune(home, store, is_trial=True)
    assert trial.tables == ("scored/000001", "scored/000004")
    assert trial.candidates == ("candidates/000002", "candidates/000003")
    assert trial.left_overs == ("scored/.staging-x",)
    assert trial.n_bytes == 500
    assert (home / "scored/000001").is_dir()
    assert prune(home, store) == trial
    left = sorted(p.name for p in (home / "scored").iterdir())
    assert left == [".staging-y", "000002", "000003", "000005", "000006", "000007"]
    assert (home / "candidates/000001").is_dir()
    assert (home / "champion/000001").is_dir()
    assert prune(home, store).n_bytes == 0


def test_what_is_young_stays(home: Path, store: Store):
    for path in (home / "scored").iterdir():
        os.utime(path)
    assert prune(home, store).tables == ()


@pytest.mark.parametrize("pointer", ["scored.json", "champion.json"])
def test_without_a_word_on_what_is_in_force_nothing_of_its_kind_goes(home, store, pointer):
    (home / pointer).write_text("{")
    found = prune(home, store)
    assert (found.tables if pointer == "scored.json" else found.candidates) == ()


def test_left_overs_of_the_warehouse_go_when_nobody_writes(home: Path, store, monkeypatch):
    warehouse = home / "warehouse"
    write_json(
        warehouse / "manifest.json",
        empty_manifest(),
    )
    folder(warehouse / ".staging", days=3)
    orphan = warehouse / "traces/batch=000001/part-1.parquet"
    folder(orphan.parent, days=3)
    orphan.write_bytes(b"x")
    monkeypatch.setattr(pruning, "_PATIENCE_SECONDS", 0.3)
    with write_lock(warehouse), pytest.raises(Exception, match="is writing to the warehouse"):
        prune(home, store)
    assert orphan.is_file()
    prune(home, store)
    assert not orphan.exists()
    assert not (warehouse / ".staging").exists()
