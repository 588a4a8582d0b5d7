"""Two homes share what is in force through an object store, and neither loses anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ffl_risk
from features.home import write_json
from features.object_store import ObjectStoreError, objects
from features.warehouse import Warehouse
from serving.errors import ConflictError, NotReadyError
from serving.keeping import depot, depot_prune
from serving.keeping.depot import pull, push
from serving.keeping.depot_state import NOTE
from serving.store.warehouse_progress import Collected
from tests.test_serving.keeping.test_inbox import INSPECTIONS, VIOLATIONS

AT = "s3://records/shared"
ROWS = [f"J{n},1-57-{n:05d},compliance,2020-01-11,2020-02-12,risk,none\n" for n in range(30)]
HEADER = INSPECTIONS.splitlines(keepends=True)[0]
REJECTED = "".join([HEADER, *ROWS, ROWS[0].replace("-11", "-41")])


class Kept:
    """Stands for an object store, in memory; what such a store decides is tried on a real one."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    @contextmanager
    def opened(self, _: str) -> Iterator[Kept]:
        yield self

    def sizes(self, under: str) -> dict[str, int]:
        found = {n: len(kept) for n, kept in self.kept.items() if n.startswith(f"{under}/")}
        return {name.removeprefix(f"{under}/"): size for name, size in found.items()}

    def read_stamped(self, name: str) -> tuple[bytes, str] | None:
        found = self.kept.get(name)
        return None if found is None else (found, str(hash(found)))

    def write_if(self, name: str, content: bytes, *, stamp: str | None) -> str | None:
        found = self.read_stamped(name)
        if (None if found is None else found[1]) != stamp:
            return None
        self.kept[name] = content
        return str(hash(content))

    def write(self, name: str, content: bytes) -> None:
        self.kept[name] = content

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self.kept.pop(name, None)

    def put_file(self, path: Path, name: str) -> None:
        self.kept[name] = path.read_bytes()

    def fetch_file(self, name: str, target: Path, n_bytes: int) -> None:
        if name not in self.kept:
            raise FileNotFoundError(name)
        if len(self.kept[name]) != n_bytes:
            raise ObjectStoreError(f"{name} is cut short")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.kept[name])


@pytest.fixture
def shared(monkeypatch) -> Kept:
    made = Kept()
    for module in (depot, depot_prune):
        monkeypatch.setattr(module, "objects", made.opened)
    return made


def ingest(home: Path, name: str, text: str) -> None:
    (home.parent / name).write_text(text)
    words = ["ingest", str(home.parent / name), "--warehouse", str(home / "warehouse")]
    done = CliRunner().invoke(ffl_risk.app, words)
    assert done.exit_code in {0, 3}, done.exception


def publish(home: Path, number: str, text: str = "rows") -> None:
    """Put a table and its bundle in force, as far as sharing looks at them."""
    for folder, manifest in (
        (f"champion/{number}", {}),
        (f"scored/{number}", {"champion": number}),
    ):
        (home / folder / "parts").mkdir(parents=True)
        (home / folder / "parts/rows.parquet").write_text(f"{folder} {text}")
        write_json(home / folder / "manifest.json", manifest)
    write_json(home / "champion.json", {"bundle": number})
    write_json(home / "scored.json", {"scored": number, "as_of": "2026-01-01"})


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    one, two = tmp_path / "one", tmp_path / "two"
    ingest(one, "inspections.csv", INSPECTIONS)
    publish(one, "000001")
    (one / "scored/000001" / depot.RESCORED).write_text("of this home's own events")
    return one, two


def files(home: Path) -> dict[str, bytes]:
    found = (p for p in home.rglob("*") if p.is_file())
    left_out = {NOTE, ".lock", "promotion.lock", "scored.lock"}
    return {str(p.relative_to(home)): p.read_bytes() for p in found if p.name not in left_out}


def test_two_homes_read_and_write_one_state(bucket: Any, homes: tuple[Path, Path]):
    one, two = homes
    assert push(one, AT).generation == 1
    assert push(one, AT) == depot.Moved(1, 0, 0)  # nothing is written anew
    taken = pull(two, AT)
    mine = files(one)
    del mine[f"scored/000001/{depot.RESCORED}"]
    assert files(two) == mine
    assert taken.n_files == len(mine)
    assert {p.stat().st_mode & 0o077 for p in two.rglob("*")} == {0}
    # The other home goes on from there, and the first follows.
    ingest(two, "violations.csv", VIOLATIONS)
    ingest(two, "rejected.csv", REJECTED)
    publish(two, "000002", "newer")
    assert push(two, AT).generation == 2
    assert pull(one, AT).n_files > 0
    opened = Warehouse.open(one / "warehouse")
    assert opened.fingerprint == Warehouse.open(two / "warehouse").fingerprint
    assert opened.read("violations").num_rows == 2
    assert (one / "warehouse/rejects").is_dir()
    assert json.loads((one / "scored.json").read_text())["scored"] == "000002"
    assert pull(one, AT).n_files == pull(two, AT).n_files == 0
    with objects(AT) as kept:
        before = kept.read_stamped(depot.STATE)
        for stamp in (None, '"00000000000000000000000000000000"'):
            assert kept.write_if(depot.STATE, b"of another", stamp=stamp) is None
        assert kept.read_stamped(depot.STATE) == before


def test_of_two_that_change_it_one_is_refused_and_nothing_is_lost(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    one, two = homes
    push(one, AT)
    pull(two, AT)
    publish(two, "000002", "of two")
    push(two, AT)
    ingest(one, "violations.csv", VIOLATIONS)
    before = files(one)
    with pytest.raises(ConflictError, match="Another home has pushed"):
        push(one, AT)
    with pytest.raises(ConflictError, match="not pushed") as caught:
        pull(one, AT)
    assert caught.value.found == "warehouse/manifest.json"
    assert files(one) == before
    assert pull(two, AT) == depot.Moved(2, 0, 0)
    # Also when the other comes between the look and the writing: the store itself decides.
    third = one.parent / "three"
    pull(third, AT)
    publish(third, "000003", "of three")
    publish(two, "000004", "of two again")
    upload = depot._upload

    def meanwhile(*asked):
        monkeypatch.setattr(depot, "_upload", upload)
        push(two, AT)
        return upload(*asked)

    monkeypatch.setattr(depot, "_upload", meanwhile)
    with pytest.raises(ConflictError, match="Another home has pushed"):
        push(third, AT)
    pull(one.parent / "four", AT)
    assert json.loads((one.parent / "four/scored.json").read_text())["scored"] == "000004"


def test_a_pull_that_is_killed_leaves_no_note_ahead_of_its_warehouse(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    """Events and outcomes between the note and the warehouse would never be taken in."""
    one, two = homes
    note, manifest = Path("warehouse/collected.json"), Path("warehouse/manifest.json")
    write_json(one / note, {"store": "S", "event_id": 1})
    push(one, AT)
    pull(two, AT)
    ingest(one, "violations.csv", VIOLATIONS)
    write_json(one / note, {"store": "S", "event_id": 2})
    publish(one, "000002")
    push(one, AT)
    synced = depot.sync_folder
    in_place: list[Path] = []

    def killed(folder: Path) -> None:
        synced(folder)
        in_place.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(depot, "sync_folder", killed)
    for _ in range(40):  # each pull puts one more file in place
        in_place.clear()
        with suppress(KeyboardInterrupt):
            pull(two, AT)
        is_new = [
            (two / name).read_bytes() == (one / name).read_bytes() for name in (note, manifest)
        ]
        assert is_new in ([False, False], [False, True], [True, True])
        if not in_place:
            break
    assert is_new == [True, True]


def test_a_note_of_progress_waits_until_its_warehouse_is_copied(homes: tuple[Path, Path]):
    warehouse = homes[0] / "warehouse"
    noted = threading.Thread(target=Collected("S", 3).save, args=(warehouse,))
    with depot._still(homes[0]):
        noted.start()
        noted.join(0.2)
        assert not (warehouse / "collected.json").exists()
    noted.join()
    assert json.loads((warehouse / "collected.json").read_text())["event_id"] == 3


def test_a_number_that_two_homes_gave_is_refused(shared: Kept, homes: tuple[Path, Path]):
    one, two = homes
    push(one, AT)
    pull(two, AT)
    publish(two, "000002", "of two")
    push(two, AT)
    publish(one, "000002", "of one")  # published, and never in force: what was before is again
    write_json(one / "champion.json", {"bundle": "000001"})
    write_json(one / "scored.json", {"scored": "000001", "as_of": "2026-01-01"})
    before = files(one)
    with pytest.raises(ConflictError, match="another file") as caught:
        pull(one, AT)
    assert "000002" in str(caught.value.found)
    assert files(one) == before


@pytest.mark.parametrize(
    "name", ["../outside", "warehouse/../../outside", "/etc/passwd", "service.db", "audit.key",
             "warehouse/.lock", "champion//x", "scored/000001/../../../x"],
)  # fmt: skip
def test_a_state_that_leads_elsewhere_is_refused(shared: Kept, tmp_path: Path, name: str):
    told = {"format": 1, "generation": 1, "files": {name: {"sha256": "0" * 64, "n_bytes": 1}}}
    shared.kept[depot.STATE] = json.dumps(told).encode()
    with pytest.raises(ObjectStoreError, match="cannot be read"):
        pull(tmp_path / "home", AT)
    assert files(tmp_path / "home") == {}


def test_a_damaged_object_changes_nothing(shared: Kept, homes: tuple[Path, Path]):
    one, two = homes
    push(one, AT)
    key, whole = next((k, v) for k, v in shared.kept.items() if k != depot.STATE)
    for damaged in (b"x" * len(whole), whole[:-1]):
        shared.kept[key] = damaged
        with pytest.raises(ObjectStoreError, match=r"not the one that was pushed|cut short"):
            pull(two, AT)
        assert files(two) == {}
    assert not list(two.glob(".depot-*"))
    shared.kept[key] = whole
    assert pull(two, AT).generation == 1


def test_by_command_with_one_clear_line_where_it_cannot(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    one, two = homes

    def said(home: Path, *words: str) -> tuple[int, str]:
        monkeypatch.setenv("FFL_RISK_HOME", str(home))
        done = CliRunner().invoke(ffl_risk.app, list(words))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return 1, str(done.exception)
        return done.exit_code, done.output

    with pytest.raises(NotReadyError, match="nothing to push"):
        push(one.parent / "empty", AT)
    assert "Nothing was pushed" in said(two, "pull", AT)[1]
    assert "State 1 is at s3://records/shared" in said(one, "push", AT)[1]
    assert "This home has state 1" in said(two, "pull", AT)[1]
    assert "no address" in said(one, "push", "/srv/shared")[1]
