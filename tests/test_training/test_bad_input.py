"""What cannot be trained on is refused with a clear message, and the registry stays as it was."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest

from features.errors import FflRiskError
from features.ingest import ingest
from features.warehouse import Warehouse
from training.commands.promote import promote_candidate
from training.commands.train import train_candidate
from training.errors import (
    FutureLabelError,
    RecipeError,
    TooFewLabelsError,
    WeightsError,
)
from training.evaluation import candidate as candidates
from training.heads.compliance import compliance
from training.labels import dated_labels as labels
from training.labels.weights.propensity import Propensity
from training.progress import Steps
from training.recipe import Recipe, load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bad_input")]


def recipe(name: str, **changes: Any) -> Recipe:
    """Return the recipe of a country with one head, changed."""
    shipped = load_recipe("country")
    head = shipped.head(name).model_copy(update={"min_positive": 5, **changes})
    judged = shipped.evaluation.model_copy(update={"n_resamples": 50, "n_judged": 1})
    return shipped.model_copy(update={"heads": (head,), "evaluation": judged, "n_as_of": 3})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, learned_country: Path) -> Path:
    """Return a folder with a country, its warehouse, and a home whose champion counts traces."""
    folder = tmp_path_factory.mktemp("bad_input")
    for name in ("raw", "warehouse"):
        (folder / name).symlink_to(learned_country / name)
    store, quick = (
        Warehouse.open(folder / "warehouse"),
        recipe("diversion", max_rows=3000, rules={}),
    )
    with train_candidate(quick, store, folder / "home", Steps()) as (made, tracker):
        promote_candidate(made, folder / "home", tracker, Steps())
    return folder


def registry(home: Path) -> dict[str, Any]:
    """Return everything a training may change: candidates, champion, versions and aliases."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        aliases = database.execute("SELECT name, alias, version FROM registered_model_aliases")
        versions = database.execute("SELECT name, version FROM model_versions")
        known = {"aliases": sorted(aliases.fetchall()), "versions": sorted(versions.fetchall())}
    return {
        "candidates": sorted(p.name for p in (home / "candidates").iterdir()),
        "champion": json.loads((home / "champion.json").read_text(encoding="utf-8")),
        **known,
    }


class Unasked:
    """A tracker that must not be asked for anything: a refusal registers nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, action: str, **_: object) -> None:
        raise AssertionError(f"a refused training asked to {action}")


@pytest.fixture
def refuse(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FflRiskError]:
    """Return a function that trains, expects a refusal, and holds the registry to what it was."""

    def refusal(asked: Recipe, warehouse: Path | None = None) -> FflRiskError:
        home = place / "home"
        before = registry(home)
        store = Warehouse.open(warehouse or place / "warehouse")
        monkeypatch.setattr("training.commands.train.Tracker", Unasked)
        with pytest.raises(FflRiskError) as refused, train_candidate(asked, store, home, Steps()):
            pass
        assert registry(home) == before
        version = int(before["champion"]["version"])
        assert ("ffl-risk-country", "champion", version) in before["aliases"]
        return refused.value

    return refusal


def test_too_few_labels(refuse, place):
    error = refuse(recipe("compliance", min_positive=9000))
    assert isinstance(error, TooFewLabelsError)
    assert "at least 9000 severe" in str(error)
    assert "more as-of dates" in str(error)


def test_one_class_only(refuse, place, tmp_path):
    """Nobody was ever found to be severe."""
    visits = pd.read_parquet(place / "raw" / "inspections.parquet")
    clean = visits.assign(outcome="none", recommended_outcome=None, firearms_unaccounted_final=0)
    clean.to_parquet(tmp_path / "inspections.parquet", index=False)
    others = [
        p for p in (place / "raw").glob("*.parquet") if p.stem not in ("inspections", "violations")
    ]
    ingest([*sorted(others), tmp_path / "inspections.parquet"], tmp_path / "warehouse")
    error = refuse(recipe("compliance"), tmp_path / "warehouse")
    assert isinstance(error, TooFewLabelsError)
    assert "0 severe" in str(error)


def test_no_inspections_at_all(refuse, place, tmp_path):
    others = [
        p for p in (place / "raw").glob("*.parquet") if p.stem not in ("inspections", "violations")
    ]
    ingest(sorted(others), tmp_path / "warehouse")
    error = refuse(recipe("compliance"), tmp_path / "warehouse")
    assert "inspection" in str(error)


def test_a_signal_the_table_lacks(refuse, place):
    error = refuse(recipe("compliance", signals=("traces_n_3y", "traces_n_4y")))
    assert isinstance(error, RecipeError)
    assert "traces_n_4y" in str(error)
    assert "did you mean" in str(error)


def test_a_label_from_the_future(refuse, place, monkeypatch):
    """A reader of labels that forgets the training day is caught by the proof after it."""
    real: Callable[..., labels.Labels] = labels.compliance

    def forgetful(*arguments: Any, **named: Any) -> labels.Labels:
        return real(*arguments, **{**named, "known_before": None})

    monkeypatch.setattr(labels, "compliance", forgetful)
    error = refuse(recipe("compliance"))
    assert isinstance(error, FutureLabelError)
    assert "known on" in str(error)


def test_weights_that_are_all_clipped(refuse, place, monkeypatch):
    def hopeless(X: pd.DataFrame, inspected: np.ndarray, *_: Any, **__: Any) -> Propensity:
        return Propensity(np.where(inspected, 1e-6, 0.5), np.asarray(inspected), 0.99)

    monkeypatch.setattr(compliance, "fit_propensity", hopeless)
    nobody = property(lambda self: np.zeros(len(self.is_inspected), dtype=bool))
    monkeypatch.setattr(Propensity, "has_known", nobody)  # no design, by which weights are known
    error = refuse(recipe("compliance"))
    assert isinstance(error, WeightsError)
    assert "random-selection stratum, or bounds" in str(error)


TRAIN = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_bad_input import recipe
from features.warehouse import Warehouse
from training.commands import train
from training.progress import Steps
real = train.assemble_bundle
def slow(*a, **k):
    made = real(*a, **k)
    print("staged", flush=True)
    import time
    time.sleep(60)
    return made
train.assemble_bundle = slow
place = Path(sys.argv[1])
quick = recipe("diversion", max_rows=3000, rules={{}})
with train.train_candidate(quick, Warehouse.open(place / "warehouse"), place / "home", Steps()):
    pass
"""


def test_a_killed_training_leaves_nothing_in_the_way(place):
    home = place / "home"
    before = registry(home)
    code = TRAIN.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "staged\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.1)
    staged = f"{candidates.STAGING}{process.pid}"
    left = registry(home)
    assert left["candidates"] == sorted([*before["candidates"], staged])
    assert {**left, "candidates": before["candidates"]} == before
    assert candidates.open_candidate(home).number == "000001"
    own = candidates.stage(home)
    assert {p.name for p in (home / "candidates").iterdir()} == {"000001", own.name}
    own.rmdir()
