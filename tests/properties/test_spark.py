"""Both engines give the same table, on random worlds and for every family."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features.commands import own_signals
from features.engine.spark import SparkEngine, session
from features.signals.registry import FAMILIES
from features.table import FeatureTable, build_features
from ffl_risk import app
from models.bundle.bundle import Bundle
from models.bundle.profile import Profile
from models.classifier import RiskClassifier
from models.policy import Policy
from tests.properties.conftest import DATES, SEEDS, World
from tests.properties.test_registry import assert_same

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]


@pytest.fixture(scope="module")
def spark() -> Iterator[object]:
    started = session("local[2]")
    started.conf.set("spark.sql.shuffle.partitions", "2")
    yield started
    started.stop()


@pytest.mark.slow
@pytest.mark.parametrize("world", SEEDS[:1], indirect=True)
def test_a_family_of_an_agency_is_held_to_it_too(
    world: World, spark: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lent:
        """The session of these tests, which outlives the command."""

        def __getattr__(self, name: str) -> object:
            return getattr(spark, name)

        def stop(self) -> None:
            pass

    monkeypatch.setattr("features.engine.spark.session", Lent)
    # The other rules have tests of their own.
    monkeypatch.setattr(own_signals, "_others", lambda *_: iter(()))
    monkeypatch.setattr(own_signals, "prove", lambda *_, **__: (None, ()))
    words = ["signals", "--check", "docs/examples/permits.py", "--engine", "spark", "--json"]
    there = ["--warehouse", str(world.warehouse.path), "--as-of", str(DATES[-1])]
    done = CliRunner().invoke(app, [*words, *there])
    assert done.exception is None, done.exception
    outcomes = {one["name"]: one["outcome"] for one in json.loads(done.stdout)["properties"]}
    assert outcomes["spark agrees"] == "holds"


@pytest.mark.slow
@pytest.mark.parametrize("world", SEEDS[:1], indirect=True)
def test_engines_agree(world: World, spark: object, tmp_path: Path) -> None:
    with SparkEngine(world.warehouse, spark=spark, n_buckets=2) as engine:
        table = build_features(world.warehouse, DATES, engine=engine)
    for family in FAMILIES:
        assert_same(world.table, table, family)
    assert table.fingerprint == world.table.fingerprint
    # What is learned from it, and what that scores, is then the same to the byte.
    one, other = (_learned(built, tmp_path / name) for name, built in
                  (("embedded", world.table), ("spark", table)))  # fmt: skip
    assert one == other


def _learned(table: FeatureTable, folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle of one head fitted on signals, and the scores it gives them."""
    X = table.X.astype("float32").reset_index(drop=True)
    y = (np.nan_to_num(X.to_numpy()).sum(axis=1) > 0).astype(int)
    y[::3] = 1 - y[::3]
    head = RiskClassifier(n_repeats=1, max_rounds=5).fit(X, y)
    manifest = {
        "name": "m", "as_of": str(DATES[-1]), "restriction": "restricted", "variant": "full",
        "data_fingerprint": table.fingerprint, "git_commit": "unknown",
    }  # fmt: skip
    margins = {"compliance": np.asarray(head.predict_margin(X))}
    signals = [{"name": name} for name in X]
    profile = Profile.of(X, margins)
    Bundle({"compliance": head}, Policy.read(), signals, profile, "# Card\n", manifest).save(folder)
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    scores = Bundle.load(folder).score(X)
    return files | {name: scores[name].to_numpy().tobytes() for name in scores}
