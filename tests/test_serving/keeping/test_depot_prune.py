"""What homes share is thinned out, and nothing that anybody needs or has just pushed is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ffl_risk
from features.object_store import Objects, ObjectStoreError, objects
from serving.errors import ConflictError, NotReadyError
from serving.keeping import depot, depot_prune
from serving.keeping.depot import pull, pull_earlier, push
from serving.keeping.depot_prune import prune_shared
from serving.keeping.depot_state import STATE
from tests.test_serving.keeping.test_depot import (
    AT,
    INSPECTIONS,
    Kept,
    files,
    homes,
    ingest,
    publish,
    shared,
)

__all__ = ["homes", "shared"]


def pushed(home: Path, n: int) -> list[dict[str, bytes]]:
    """Push `n` states, and return what each was made of."""
    found = []
    for number in range(1, n + 1):
        if number > 1:
            publish(home, f"{number:06d}", f"state {number}")
        assert push(home, AT).generation == number
        found.append(files(home))
    return found


def in_force(one: dict[str, bytes], number: str) -> dict[str, bytes]:
    """Return the files of one state out of those that a home has gathered."""
    folders = ("warehouse/", f"champion/{number}/", f"scored/{number}/")
    return {
        name: content
        for name, content in one.items()
        if name.startswith(folders) or name in {"champion.json", "scored.json"}
    }


def without_rescored(state: dict[str, bytes]) -> dict[str, bytes]:
    return {name: kept for name, kept in state.items() if not name.endswith(depot.RESCORED)}


def test_the_newest_stay_and_a_trial_says_what_goes(bucket: Any, homes: tuple[Path, Path]):
    one, two = homes
    states = pushed(one, 4)
    before = {o.key for o in bucket.objects.all()}
    told = prune_shared(AT, keep=2, is_trial=True)
    assert (told.in_force, told.kept, told.gone) == (4, (3,), (2, 1))
    assert {o.key for o in bucket.objects.all()} == before
    sizes = {o.key: o.size for o in bucket.objects.all()}
    assert prune_shared(AT, keep=2) == told
    left = {o.key for o in bucket.objects.all()}
    assert len(before - left) == told.n_objects > 0
    assert sum(sizes[key] for key in before - left) == told.n_bytes
    # What stays is whole, the one in force and the earlier one.
    pull(two, AT)
    assert files(two) == without_rescored(in_force(states[3], "000004"))
    earlier = one.parent / "earlier"
    assert pull_earlier(earlier, AT, 3).generation == 3
    assert files(earlier) == without_rescored(in_force(states[2], "000003"))
    with pytest.raises(NotReadyError, match="not among") as caught:
        pull_earlier(one.parent / "gone", AT, 2)
    assert caught.value.found == "3"
    # Done again it finds nothing, and changes nothing.
    with objects(AT) as kept:
        state = kept.read_stamped(STATE)
        assert prune_shared(AT, keep=2).n_objects == 0
        assert kept.read_stamped(STATE) == state
    assert prune_shared(AT, keep=1).gone == (3,)
    assert pull(two, AT) == depot.Moved(4, 0, 0)


def test_a_home_goes_on_though_another_operator_pruned(shared: Kept, homes: tuple[Path, Path]):
    """It noted a state, not how that state was written: its own work is not refused."""
    one, two = homes
    pushed(one, 3)
    pull(two, AT)
    publish(two, "000009", "of two, not pushed yet")
    assert prune_shared(AT, keep=1).gone == (2, 1)
    assert pull(one, AT) == depot.Moved(3, 0, 0)
    assert push(two, AT).generation == 4
    assert json.loads(shared.kept[STATE])["earlier"][0]["generation"] == 3
    pull(one, AT)
    assert json.loads((one / "scored.json").read_text())["scored"] == "000009"


def test_of_a_push_and_a_pruning_at_once_one_comes_first(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    one, two = homes
    pushed(one, 2)
    pull(two, AT)
    publish(two, "000003", "of two")
    lying = set(shared.kept)
    sizes = shared.sizes

    def meanwhile(under: str) -> dict[str, int]:
        monkeypatch.setattr(shared, "sizes", sizes)
        push(two, AT)
        return sizes(under)

    monkeypatch.setattr(shared, "sizes", meanwhile)
    with pytest.raises(ConflictError, match="meanwhile") as caught:
        prune_shared(AT, keep=1)
    assert caught.value.found == "nothing was removed"
    assert lying <= set(shared.kept)
    assert pull(one, AT).generation == 3


def test_an_object_that_goes_is_never_pushed_again_under_its_name(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    """A pruning that dawdles takes nothing from whoever pushes the same again meanwhile."""
    one, two = homes
    pushed(one, 3)
    late: list[str] = []
    monkeypatch.setattr(shared, "remove", late.extend)  # held up before its first removal
    prune_shared(AT, keep=1)
    assert late
    # The first table comes into force again; its files still lie there, about to be removed.
    for pointer, key in (("champion.json", "bundle"), ("scored.json", "scored")):
        (one / pointer).write_text(json.dumps({key: "000001", "as_of": "2026-01-01"}))
    assert push(one, AT).n_files > 0
    for name in late:
        del shared.kept[name]
    assert pull(two, AT).generation == 4
    assert (two / "scored/000001/parts/rows.parquet").read_bytes() == (
        one / "scored/000001/parts/rows.parquet"
    ).read_bytes()


def test_a_push_under_way_begins_again_without_what_was_pruned(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    one, two = homes
    pushed(one, 2)
    for pointer, key in (("champion.json", "bundle"), ("scored.json", "scored")):
        (one / pointer).write_text(json.dumps({key: "000001", "as_of": "2026-01-01"}))
    upload = depot._upload

    def meanwhile(*asked):
        monkeypatch.setattr(depot, "_upload", upload)
        files_and_copied = upload(*asked)  # counts on objects of the first state
        assert prune_shared(AT, keep=1).gone == (1,)
        return files_and_copied

    monkeypatch.setattr(depot, "_upload", meanwhile)
    assert push(one, AT).generation == 3
    assert pull(two, AT).generation == 3
    assert json.loads((two / "scored.json").read_text())["scored"] == "000001"


def test_a_pull_under_way_takes_what_is_in_force_by_then(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    one, two = homes
    pushed(one, 1)
    fetch = shared.fetch_file

    def meanwhile(name: str, target: Path, n_bytes: int) -> None:
        monkeypatch.setattr(shared, "fetch_file", fetch)
        publish(one, "000002", "newer")
        push(one, AT)
        prune_shared(AT, keep=1)
        fetch(name, target, n_bytes)

    monkeypatch.setattr(shared, "fetch_file", meanwhile)
    assert pull(two, AT).generation == 2
    assert json.loads((two / "scored.json").read_text())["scored"] == "000002"
    assert not list(two.glob(".depot-*"))


def test_what_broken_pushes_left_goes_and_a_removal_that_broke_off_goes_on(
    shared: Kept, homes: tuple[Path, Path], monkeypatch
):
    one, two = homes
    pushed(one, 2)
    shared.kept[f"objects/{'a' * 64}-00000000"] = b"left by a push that was killed"
    remove = shared.remove

    def broken(names: list[str]) -> None:
        remove(names[:1])
        raise ObjectStoreError("refused")

    monkeypatch.setattr(shared, "remove", broken)
    with pytest.raises(ObjectStoreError, match="refused"):
        prune_shared(AT, keep=1)
    assert pull(two, AT).generation == 2
    monkeypatch.setattr(shared, "remove", remove)
    n_left = prune_shared(AT, keep=1, is_trial=True).n_objects
    assert prune_shared(AT, keep=1).n_objects == n_left > 0
    assert not [name for name in shared.kept if "a" * 64 in name]
    assert prune_shared(AT, keep=1).n_objects == 0


def test_a_bucket_of_format_1_is_read_and_thinned(shared: Kept, homes: tuple[Path, Path]):
    one, two = homes
    pushed(one, 1)
    told = json.loads(shared.kept[STATE])
    for file in told["files"].values():
        key, digest = file.pop("object"), file["sha256"]
        if f"objects/{key}" in shared.kept:
            shared.kept[f"objects/{digest}"] = shared.kept.pop(f"objects/{key}")
    old = {"format": 1, "generation": 1, "pushed_at": "2026-01-01", "files": told["files"]}
    shared.kept[STATE] = json.dumps(old).encode()
    note = json.loads((one / "depot.json").read_text())
    (one / "depot.json").write_text(json.dumps({
        "address": AT, "generation": 1, "pointers": note["pointers"],
        "stamp": str(hash(shared.kept[STATE])),
    }))  # fmt: skip
    publish(one, "000002", "newer")
    assert push(one, AT).generation == 2
    assert pull(two, AT).generation == 2
    assert pull_earlier(one.parent / "earlier", AT, 1).generation == 1
    assert prune_shared(AT, keep=1).gone == (1,)
    assert pull(one.parent / "third", AT).generation == 2


def test_an_earlier_state_goes_into_an_empty_home_and_is_proved(
    shared: Kept, homes: tuple[Path, Path]
):
    one, two = homes
    pushed(one, 3)
    before = files(one)
    with pytest.raises(ConflictError, match="empty state folder"):
        pull_earlier(one, AT, 2)
    assert files(one) == before
    document = next(name for name in shared.kept if name.startswith("states/000002-"))
    shared.kept[document] += b" "
    with pytest.raises(ObjectStoreError, match="not what it was"):
        pull_earlier(two, AT, 2)
    # A pruning that cannot tell what a kept state needs removes nothing.
    lying = set(shared.kept)
    with pytest.raises(ObjectStoreError, match="not what it was"):
        prune_shared(AT, keep=2)
    assert set(shared.kept) == lying
    pull_earlier(two, AT, 1)
    publish(two, "000007", "upon an earlier state")
    with pytest.raises(ConflictError, match="Another home has pushed"):
        push(two, AT)


def test_a_store_that_refuses_removals_is_told(bucket: Any, homes: tuple[Path, Path], monkeypatch):
    pushed(homes[0], 2)
    monkeypatch.setattr(Objects, "_delete", lambda *_: ["AccessDenied"])
    with pytest.raises(ObjectStoreError, match="refused") as caught:
        prune_shared(AT, keep=1)
    assert "AccessDenied" in str(caught.value.found)
    monkeypatch.undo()


def test_by_command(shared: Kept, homes: tuple[Path, Path], monkeypatch):
    one, _ = homes
    pushed(one, 3)

    def said(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(ffl_risk.app, ["prune", *words])
        return done.exit_code, done.output + str(done.exception or "")

    assert said(AT)[0] == said("--keep", "2")[0] == 2
    assert said(AT, "--keep", "0")[0] == 2
    assert "no address" in said("/srv/shared", "--keep", "2")[1]
    trial = " ".join(said(AT, "--keep", "2", "--dry-run")[1].split())
    assert "Would remove" in trial
    assert "earlier states that go: 1; that stay: 2. State 3 is in force." in trial
    assert json.loads(said(AT, "--keep", "2", "--json")[1])["gone"] == [1]
    assert "Removed 0 objects" in " ".join(said(AT, "--keep", "2")[1].split())
    shared.kept.clear()
    with pytest.raises(NotReadyError, match="Nothing was pushed"):
        prune_shared(AT, keep=1)


def test_only_a_state_is_ever_kept_by_number():
    with pytest.raises(ValueError, match="always stays"):
        depot_prune.prune_shared(AT, keep=0)


def test_the_country_s_records_are_what_is_shared(shared: Kept, tmp_path: Path):
    """The warehouse alone can be pushed, and survives a pruning to one."""
    home = tmp_path / "home"
    ingest(home, "inspections.csv", INSPECTIONS)
    push(home, AT)
    assert prune_shared(AT, keep=1).n_objects == 0
    pull(tmp_path / "other", AT)
    assert (tmp_path / "other/warehouse/manifest.json").is_file()
