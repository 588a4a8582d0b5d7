"""What is in force changes in one step, under kills and rivals alike."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import time
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from models.order.restraint import Restraint
from training.commands import train as train_command
from training.commands.promote import promote_candidate
from training.errors import BusyError, GateRefusedError, NotTrainedError
from training.evaluation import candidate as candidates
from training.evaluation.judge import has_compliance
from training.evaluation.promotion_verdict import Verdict, judged_record
from training.progress import Steps
from training.recipe import load_recipe
from training.registry import bundling, promotion


class Aliases:
    """A registry that lives in a file, so that other processes see it."""

    def __init__(self, folder: Path, *, die_on_set: bool = False) -> None:
        self.path, self.die_on_set = folder / "aliases.json", die_on_set

    def ask(self, action: str, **arguments: str) -> str | None:
        known = json.loads(self.path.read_text()) if self.path.is_file() else {}
        if action == "alias_version":
            return known.get(arguments["name"])
        if self.die_on_set:
            os.kill(os.getpid(), signal.SIGKILL)
        # In one step, as a registry's database does: a kill must not leave half of it.
        part = self.path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(known | {arguments["name"]: arguments["version"]}))
        part.replace(self.path)
        return None


def train(folder: Path, version: str) -> candidates.Candidate:
    staged = candidates.stage(folder)
    (staged / "bundle" / "heads").mkdir(parents=True)
    for name in ("manifest.json", "heads/compliance.txt"):
        (staged / "bundle" / name).write_text(version * 1000)
    return candidates.commit(staged, {"model_name": "m", "version": version})


def bundle_text(folder: Path) -> str:
    champion = promotion.read_champion(folder)
    return (folder / "champion" / champion.bundle / "manifest.json").read_text()


def test_candidates_are_numbered_and_found(tmp_path):
    with pytest.raises(NotTrainedError, match="ffl-risk train"):
        candidates.open_candidate(tmp_path)
    train(tmp_path, "1")
    second = train(tmp_path, "2")
    assert second.number == "000002"
    assert candidates.open_candidate(tmp_path).version == "2"
    assert candidates.open_candidate(tmp_path, "1").version == "1"
    with pytest.raises(NotTrainedError, match="000007"):
        candidates.open_candidate(tmp_path, "7")


def test_promotion_and_rollback_move_bundle_and_alias_together(tmp_path):
    tracker = Aliases(tmp_path)
    for version in ("1", "2", "3"):
        with promotion.promotion_lock(tmp_path):
            promotion.install(tmp_path, train(tmp_path, version), tracker)
    assert bundle_text(tmp_path) == "3" * 1000
    for version in ("2", "1"):
        with promotion.promotion_lock(tmp_path):
            back = promotion.roll_back(tmp_path, tracker)
        assert back.version == version == tracker.ask("alias_version", name="m")
        assert bundle_text(tmp_path) == version * 1000
    with pytest.raises(NotTrainedError, match="roll back"):
        promotion.roll_back(tmp_path, tracker)


def test_a_rollback_does_not_reuse_a_folder(tmp_path):
    tracker = Aliases(tmp_path)
    promotion.install(tmp_path, train(tmp_path, "1"), tracker)
    promotion.install(tmp_path, train(tmp_path, "2"), tracker)
    promotion.roll_back(tmp_path, tracker)
    third = promotion.install(tmp_path, train(tmp_path, "3"), tracker)
    assert third.bundle == "000003"
    assert [entry["version"] for entry in third.history] == ["1"]


def test_a_kill_between_commit_and_alias_is_mended_by_the_next_command(tmp_path):
    promotion.install(tmp_path, train(tmp_path, "1"), Aliases(tmp_path))
    second = train(tmp_path, "2")
    process = multiprocessing.get_context("fork").Process(
        target=promotion.install, args=(tmp_path, second, Aliases(tmp_path, die_on_set=True))
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    tracker = Aliases(tmp_path)
    assert tracker.ask("alias_version", name="m") == "1"
    with promotion.promotion_lock(tmp_path):
        promotion.reconcile(tmp_path, tracker)
    assert tracker.ask("alias_version", name="m") == "2"
    assert bundle_text(tmp_path) == "2" * 1000


def test_a_champion_from_elsewhere_has_no_alias_and_can_be_rolled_back(tmp_path):
    tracker = Aliases(tmp_path)
    promotion.install(tmp_path, train(tmp_path, "1"), tracker)
    other = tmp_path / "elsewhere"
    (other / "heads").mkdir(parents=True)
    (other / "manifest.json").write_text("9")
    with promotion.promotion_lock(tmp_path):
        adopted = promotion.adopt(tmp_path, other, {"name": "n", "version": "9"})
        assert promotion.reconcile(tmp_path, tracker) == adopted
    assert (adopted.version, adopted.candidate) == ("9", "")
    assert bundle_text(tmp_path) == "9"
    assert promotion.champion_candidate(tmp_path, adopted) is None
    assert tracker.ask("alias_version", name="n") is None
    with promotion.promotion_lock(tmp_path):
        assert promotion.roll_back(tmp_path, tracker).version == "1"


def promote_for_ever(folder: Path, ready: Event) -> None:
    tracker = Aliases(folder)
    ready.set()
    while True:
        for number in ("1", "2"):
            with promotion.promotion_lock(folder):
                promotion.reconcile(folder, tracker)
                promotion.install(folder, candidates.open_candidate(folder, number), tracker)


def start(folder: Path) -> ForkProcess:
    """Promote one candidate after the other in a process that need import nothing."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=promote_for_ever, args=(folder, ready))
    process.start()
    ready.wait()
    return process


def end(process: ForkProcess) -> None:
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL  # it was still promoting


def check_whole(folder: Path) -> None:
    champion = promotion.read_champion(folder)
    place = folder / "champion" / champion.bundle
    expected = champion.version * 1000
    assert (place / "manifest.json").read_text() == expected
    assert (place / "heads" / "compliance.txt").read_text() == expected
    tracker = Aliases(folder)
    with promotion.promotion_lock(folder):
        promotion.reconcile(folder, tracker)
    assert tracker.ask("alias_version", name="m") == champion.version
    assert not list((folder / "champion").glob(".staging-*"))


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_one_whole_champion(tmp_path):
    train(tmp_path, "1")
    train(tmp_path, "2")
    promotion.install(tmp_path, candidates.open_candidate(tmp_path, "1"), Aliases(tmp_path))
    for attempt in range(4):
        process = start(tmp_path)
        time.sleep(0.01 + 0.03 * attempt)
        end(process)
        check_whole(tmp_path)


@pytest.mark.slow
def test_two_promotions_at_once_leave_one_whole_champion(tmp_path):
    train(tmp_path, "1")
    train(tmp_path, "2")
    rivals = [start(tmp_path), start(tmp_path)]
    time.sleep(0.5)
    for process in rivals:
        end(process)
    check_whole(tmp_path)
    champion = promotion.read_champion(tmp_path)
    # Every promotion either rival made is in the history exactly once.
    folders = [entry["bundle"] for entry in champion.history] + [champion.bundle]
    assert folders == sorted(set(folders))
    assert len(folders) > 4


def test_a_promotion_waits_and_then_says_who_is_in_the_way(tmp_path):
    with (
        promotion.promotion_lock(tmp_path),
        pytest.raises(BusyError, match="under way"),
        promotion.promotion_lock(tmp_path, patience_s=0.1),
    ):
        pass


def test_promoting_what_is_in_force_changes_nothing(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(
        "training.commands.promote.keep_champion", lambda _, champion: kept.append(champion)
    )
    staged = candidates.stage(tmp_path)
    (staged / "bundle").mkdir()
    (staged / "bundle" / "manifest.json").write_text("1")
    gates = load_recipe("country").gates.model_dump()
    heads = {"compliance": {"is_in_bundle": True, "label": "compliance"}}
    made = candidates.commit(
        staged,
        {"model_name": "m", "version": "1", "gates": gates, "heads": heads,
         "bundle_heads": ["compliance"]},
    )  # fmt: skip
    tracker = Aliases(tmp_path)
    with promotion.promotion_lock(tmp_path):
        before = promotion.install(tmp_path, made, tracker)
    after = promote_candidate(made, tmp_path, tracker, Steps())
    assert after == before
    assert kept == [before]  # a model store that lost it, or never got it, has it again
    assert promotion.read_champion(tmp_path).history == ()
    assert [p.name for p in (tmp_path / "champion").iterdir()] == [before.bundle]


def test_the_page_of_gates_says_how_far_heads_beside_compliance_count(tmp_path, monkeypatch):
    monkeypatch.setattr("training.commands.promote.keep_champion", lambda *_: None)
    monkeypatch.setattr(
        "training.commands.promote.judge",
        lambda *_, **__: [Verdict("schema", "all", "passed", "as served", "as served")],
    )
    staged = candidates.stage(tmp_path)
    (staged / "bundle").mkdir()
    held = Restraint(scale=0.35, cost=0.009, cost_in_full=0.047, maximum=0.01)
    (staged / "bundle" / "manifest.json").write_text(json.dumps({"restraint": held.state()}))
    made = candidates.commit(
        staged,
        {"model_name": "m", "version": "1", "gates": load_recipe("country").gates.model_dump(),
         "heads": {}, "bundle_heads": ["compliance"]},
    )  # fmt: skip
    promote_candidate(made, tmp_path, Aliases(tmp_path), Steps())
    page = (tmp_path / "reports" / "gates-000001.html").read_text(encoding="utf-8")
    assert "such as traces, counts 35% of its weight" in page
    assert "4.7% of the severe findings" in page
    found = json.loads((tmp_path / "reports" / "gates-000001.json").read_text(encoding="utf-8"))
    assert found["restraint"] == held.state()


def test_a_reason_of_blanks_is_refused_and_is_kept_as_none(tmp_path, monkeypatch):
    """The promotion was refused while the report of its gates said that it was accepted."""
    monkeypatch.setattr("training.commands.promote.keep_champion", lambda *_: None)
    monkeypatch.setattr(
        "training.commands.promote.judge",
        lambda *_, **__: [Verdict("calibration", "compliance", "unsaid", "few", "many")],
    )
    staged = candidates.stage(tmp_path)
    (staged / "bundle").mkdir()
    (staged / "bundle" / "manifest.json").write_text("{}")
    made = candidates.commit(
        staged,
        {"model_name": "m", "version": "1", "gates": load_recipe("country").gates.model_dump(),
         "heads": {}, "bundle_heads": ["compliance"]},
    )  # fmt: skip
    with pytest.raises(GateRefusedError):
        promote_candidate(made, tmp_path, Aliases(tmp_path), Steps(), accept_unjudged=" ")
    kept = tmp_path / "reports" / "gates-000001.json"
    found = json.loads(kept.read_text(encoding="utf-8"))
    assert (found["is_passed"], found["accepted_unjudged"]) == (False, None)
    promote_candidate(made, tmp_path, Aliases(tmp_path), Steps(), accept_unjudged=" a new agency ")
    found = json.loads(kept.read_text(encoding="utf-8"))
    assert (found["is_passed"], found["accepted_unjudged"]) == (True, "a new agency")
    # The report alone told it: who uses the list reads the champion's record.
    judged = json.loads((tmp_path / "champion.json").read_text(encoding="utf-8"))["judged"]
    assert judged == {
        "n_gates": 1, "unsaid": [{"gate": "calibration", "head": "compliance"}],
        "accepted": "a new agency", "waived": [], "heads": ["compliance"],
    }  # fmt: skip


def test_how_a_champion_was_judged_comes_back_with_it(tmp_path):
    """One of before has no record of it, and stays without."""
    tracker, first = Aliases(tmp_path), {"n_gates": 3, "unsaid": [], "waived": ["compliance_head"]}
    with promotion.promotion_lock(tmp_path):
        promotion.install(tmp_path, train(tmp_path, "1"), tracker)
        promotion.install(tmp_path, train(tmp_path, "2"), tracker, judged=first)
        last = promotion.install(tmp_path, train(tmp_path, "3"), tracker, judged={"n_gates": 4})
        assert promotion.read_champion(tmp_path) == last
        assert promotion.roll_back(tmp_path, tracker).judged == first
        assert promotion.read_champion(tmp_path).judged == first
        entry = json.loads((tmp_path / "champion.json").read_text())
        other = tmp_path / "champion" / "000002"
        assert promotion.adopt(tmp_path, other, entry).judged == first
        promotion.roll_back(tmp_path, tracker)
        assert promotion.roll_back(tmp_path, tracker).judged is None
        assert "judged" not in json.loads((tmp_path / "champion.json").read_text())


def candidate_with(folder: Path, *, heads: dict[str, bool]) -> candidates.Candidate:
    return candidates.Candidate(
        folder,
        {
            "heads": {n: {"is_in_bundle": kept, "label": n} for n, kept in heads.items()},
            "bundle_heads": [n for n, kept in heads.items() if kept],
        },
    )


def test_a_bundle_without_its_compliance_head_needs_a_waiver(tmp_path):
    lacking = candidate_with(tmp_path, heads={"compliance": False, "diversion": True})
    (verdict,) = has_compliance(lacking, is_waived=False)
    assert verdict.outcome == "refused"
    assert "--without-compliance" in verdict.wanted
    (waived,) = has_compliance(lacking, is_waived=True)
    assert waived.is_passed
    kept = judged_record([waived], lacking.heads, accepted=None)
    assert (kept["waived"], kept["heads"]) == (["compliance_head"], ["diversion"])
    assert "rest on diversion" in waived.measured
    whole = candidate_with(tmp_path, heads={"compliance": True, "diversion": True})
    assert has_compliance(whole, is_waived=False)[0].is_passed
    assert has_compliance(candidate_with(tmp_path, heads={"severity": True}), is_waived=False) == []


def test_an_installed_copy_does_not_take_the_commit_of_a_repository_around_it(tmp_path):
    inside = tmp_path / "lib"
    inside.mkdir()
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert bundling.source_commit(inside) == "unknown"
    assert len(bundling.source_commit(tmp_path)) == 40


def test_signals_kept_for_a_rival_are_those_of_the_judged_rows():
    """A head of counts learns from every row and is judged at one date: not all rows are judged."""
    keys = pd.DataFrame(
        {
            "dealer": ["a", "b", "a", "b"],
            "as_of": pd.to_datetime(["2024-01-01"] * 2 + ["2025-01-01"] * 2),
        }
    )
    X = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    table = SimpleNamespace(frame=keys, X=X)
    held_out = keys.iloc[[3, 2]].assign(y=0.0).reset_index(drop=True)
    assert train_command._signals_of(held_out, table)["x"].tolist() == [3.0, 2.0]


def test_a_disk_that_is_full_while_promoting_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    first = train(tmp_path, "1")
    promotion.install(tmp_path, first, Aliases(tmp_path))
    before = sorted(path.name for path in (tmp_path / "champion").iterdir())

    def full(source, target):
        Path(target).touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(promotion.shutil, "copy2", full)
    with pytest.raises(OSError, match="No space") as refused:
        promotion.install(tmp_path, train(tmp_path, "2"), Aliases(tmp_path))
    assert refused.value.errno == errno.ENOSPC  # what the command line puts into words
    assert sorted(path.name for path in (tmp_path / "champion").iterdir()) == before
    assert bundle_text(tmp_path) == "1" * 1000
