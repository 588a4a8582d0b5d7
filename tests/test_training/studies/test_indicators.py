"""Each indicator is assessed alone and added to the rest, held to slow and independent counts."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from features.ingest import ingest
from ffl_risk import app
from training.errors import OneClassError, RecipeError, TooFewLabelsError
from training.evaluation import efficacy
from training.evaluation.head_evaluation import list_membership
from training.heads.fit import Design
from training.labels.splits import group_folds
from training.pages.page import render
from training.progress import Steps
from training.studies.indicators import Inspected, assess, oriented, verdict
from training.studies.pages.indicators import indicators_page


def made_of(**directions: int) -> Design:
    """Signals named by family and name, ``family_name``, with their directions."""
    signals = tuple(
        SimpleNamespace(name=name, family=name.split("_")[0], direction=direction)
        for name, direction in directions.items()
    )
    return Design(pd.DataFrame(), signals)  # type: ignore[arg-type]


def inspections(seed: int, n: int = 3000) -> Inspected:
    """Findings that follow one signal and, less, another; the rest is noise or a copy."""
    rng = np.random.default_rng(seed)
    cause, second = rng.normal(size=n), rng.normal(size=n)
    X = pd.DataFrame(
        {
            "trace_cause": cause,
            "trace_copy": cause + rng.normal(0, 0.3, n),
            "loss_second": second,
            "loss_fewer": -second + rng.normal(0, 2.0, n),
            "tip_noise": rng.normal(size=n),
            "tip_rare": np.where(rng.random(n) < 0.8, np.nan, rng.normal(size=n)),
        }
    )
    y = (rng.random(n) < 1 / (1 + np.exp(2.2 - cause - 0.6 * second))).astype(float)
    return Inspected(
        X=X,
        y=y,
        weight=rng.uniform(0.5, 2.0, n),
        dealer=rng.integers(0, n // 2, n),
        year=rng.choice(["2021", "2022"], n),
        division=rng.choice(["763", "774", ""], n, p=[0.6, 0.3, 0.1]),
        is_random=rng.random(n) < 0.2,
    )


DIRECTIONS = {
    "trace_cause": 1, "trace_copy": 1, "loss_second": 1, "loss_fewer": -1, "tip_noise": 1,
    "tip_rare": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def past() -> Inspected:
    return inspections(0)


@pytest.fixture(scope="module")
def found(past):
    return assess(past, made_of(**DIRECTIONS), Steps(), share=0.1, seed=0)


def entry(found, name: str) -> dict:
    return next(s for s in found["signals"] if s["signal"] == name)


def slow_auc(score, y, weight) -> float:
    """Count every pair of a finding and a clean row."""
    positive, negative = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    won = total = 0.0
    for i in positive:
        pair = weight[i] * weight[negative]
        beats = (score[i] > score[negative]) + 0.5 * (score[i] == score[negative])
        won += pair @ beats
        total += pair.sum()
    return won / total


def test_the_auc_is_that_of_all_pairs(past):
    score = past.X["trace_cause"].round(1).to_numpy()
    own = efficacy.auc(score, past.y, past.weight)
    assert own.value == pytest.approx(slow_auc(score, past.y, past.weight), abs=1e-12)
    known = roc_auc_score(past.y, score, sample_weight=past.weight)
    assert own.value == pytest.approx(known, abs=1e-12)
    assert own.influence.sum() == pytest.approx(0.0, abs=1e-9)


def test_the_influence_is_the_derivative_by_the_weights(past):
    score = past.X["trace_cause"].to_numpy()
    base = efficacy.auc(score, past.y, past.weight)
    lifted = efficacy.lift(score, past.y, past.weight, share=0.1)
    for row in (0, 7, 1500):
        step = past.weight.copy()
        step[row] *= 1 + 1e-6
        moved = efficacy.auc(score, past.y, step)
        assert (moved.value - base.value) / 1e-6 == pytest.approx(base.influence[row], abs=1e-6)
        # The list is given: its rows stay on it.
        on = list_membership(score, 0.1, weight=past.weight)
        moved = np.average(past.y, weights=step * on) / np.average(past.y, weights=step)
        assert (moved - lifted.value) / 1e-6 == pytest.approx(lifted.influence[row], abs=1e-5)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Over fresh worlds of dealers seen twice; ignoring the dealers would hold it less often."""
    rng = np.random.default_rng(5)
    truth_score = rng.normal(size=200_000)
    truth_y = (rng.random(200_000) < 1 / (1 + np.exp(1.5 - truth_score))).astype(float)
    truth = efficacy.auc(truth_score, truth_y, np.ones(200_000)).value
    held, narrow = 0, 0
    for _ in range(400):
        score = np.repeat(rng.normal(size=150), 2)
        dealer = np.repeat(np.arange(150), 2)
        luck = np.repeat(rng.random(150), 2)
        y = (luck < 1 / (1 + np.exp(1.5 - score))).astype(float)
        own = efficacy.auc(score, y, np.ones(300))
        i = own.share_interval(dealer)
        held += i.low <= truth <= i.high
        i = own.share_interval(np.arange(300))
        narrow += i.low <= truth <= i.high
    assert 0.92 <= held / 400 <= 0.98
    assert narrow / 400 < 0.88


def test_leaving_out_is_a_fit_without(past):
    """The quick way agrees with scikit-learn fitted again without the columns."""
    folds = group_folds(past.dealer, n_folds=3, seed=0)
    blocks = {"cause": [0], "both": [0, 1], "noise": [4]}
    whole, without = efficacy.held_out_without(
        past.X, past.y, past.weight, folds=folds, blocks=blocks
    )
    filled = np.sign(past.X) * np.log1p(past.X.abs())
    for name, columns in {"": [], **blocks}.items():
        kept = filled.drop(columns=filled.columns[columns])
        slow = np.zeros(len(past.y))
        for fold in range(3):
            out = folds == fold
            middle = kept[~out].median()
            Z = kept.fillna(middle)
            Z = (Z - Z[~out].mean()) / Z[~out].std(ddof=0)
            model = LogisticRegression(C=0.1, max_iter=2000, tol=1e-8)
            model.fit(Z[~out], past.y[~out], sample_weight=past.weight[~out])
            slow[out] = model.decision_function(Z[out])
        np.testing.assert_allclose(without[name] if name else whole, slow, atol=0.01)


def test_an_indicator_that_works_is_told_from_its_copy_and_from_noise(found):
    cause, copy, noise = (entry(found, n) for n in ("trace_cause", "trace_copy", "tip_noise"))
    assert entry(found, "loss_second")["verdict"] == "works and adds"
    assert cause["added"]["value"] > copy["added"]["value"]
    # The copy ranks findings alone, and adds nothing once the cause is there.
    assert copy["alone"]["low"] > 0.6
    assert copy["verdict"] == "works"
    assert abs(copy["added"]["value"]) < 0.01
    assert noise["verdict"] == "not shown"
    assert cause["lift"]["low"] > 2.0
    assert 0.7 < noise["lift"]["value"] < 1.4
    assert entry(found, "tip_rare")["share_seen"] == pytest.approx(0.2, abs=0.05)


def test_figures_are_given_in_all_at_random_by_year_and_by_division(past, found):
    cause = entry(found, "trace_cause")
    assert set(cause["by_year"]) == {"2021", "2022"}
    assert set(cause["by_division"]) == {"763", "774"}
    score = past.X["trace_cause"].to_numpy()
    drawn = past.is_random
    by_hand = slow_auc(score[drawn], past.y[drawn], np.ones(drawn.sum()))
    assert cause["alone_random"]["value"] == pytest.approx(by_hand)
    year = past.year == "2022"
    by_hand = slow_auc(score[year], past.y[year], past.weight[year])
    assert cause["by_year"]["2022"]["alone"]["value"] == pytest.approx(by_hand)
    trace = next(f for f in found["families"] if f["family"] == "trace")
    assert trace["n_signals"] == 2
    assert trace["added"]["low"] > 0.05
    assert trace["by_year"]["2021"]["added"]["low"] > 0


def test_an_indicator_that_points_the_wrong_way_is_named(past):
    turned = assess(past, made_of(**DIRECTIONS | {"trace_cause": -1}), Steps(), share=0.1, seed=0)
    assert entry(turned, "trace_cause")["verdict"] == "contradicts"
    text = render("page.html", title="", page=indicators_page(described(turned)))
    assert "against their expected direction and should be reviewed: trace_cause." in text


def test_no_expected_direction_contradicts_nothing():
    low = {"value": 0.4, "low": 0.3, "high": 0.45}
    none = {"value": 0.0, "low": -0.1, "high": 0.1}
    assert verdict(low, none, 0) == "works"
    assert verdict(low, none, 1) == "contradicts"
    assert oriented(np.full(3, np.nan), 1).tolist() == [0.0, 0.0, 0.0]


def described(found: dict) -> dict:
    return {**found, "first_year": 2021, "last_year": 2022}


def test_the_page_shows_every_indicator_and_plot(found):
    text = render("page.html", title="", page=indicators_page(described(found)))
    assert all(name in text for name in DIRECTIONS)
    assert text.count("<svg") == 4
    assert "nan" not in text


@pytest.mark.parametrize("y", [np.zeros(3000), np.ones(3000), np.r_[np.ones(19), np.zeros(2981)]])
def test_too_few_findings_are_refused(past, y):
    with pytest.raises(TooFewLabelsError, match="at least 20 severe"):
        assess(replace(past, y=y), made_of(**DIRECTIONS), Steps(), share=0.1, seed=0)


def test_a_random_share_without_findings_says_nothing(past):
    few = replace(past, is_random=np.arange(3000) < 12)
    found = assess(few, made_of(**DIRECTIONS), Steps(), share=0.1, seed=0)
    assert entry(found, "trace_cause")["alone_random"] is None
    text = render("page.html", title="", page=indicators_page(described(found)))
    assert "cannot be said" in text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, learned_country: Path) -> Path:
    folder = tmp_path_factory.mktemp("indicators")
    for name in ("raw", "warehouse"):
        (folder / name).symlink_to(learned_country / name)
    return folder


def run(home: Path, *arguments: str):
    return CliRunner().invoke(app, ["indicators", *arguments], env={"FFL_RISK_HOME": str(home)})


@pytest.mark.slow
def test_the_command_assesses_a_country(home):
    result = run(home, "--json")
    assert result.exception is None
    told = json.loads(result.stdout)
    assert told == json.loads((home / "reports" / "indicators.json").read_text(encoding="utf-8"))
    assert {f["family"] for f in told["families"]} >= {"traces", "violations", "losses", "volume"}
    assert told["n_random"] > 0
    assert "<svg" in (home / "reports" / "indicators.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_command_refuses_what_it_cannot_assess(home, tmp_path):
    result = run(home, "--recipe", "public_records")
    assert isinstance(result.exception, RecipeError)
    assert "no head that learns compliance labels" in str(result.exception)
    # A finding nobody can reach: labels of one class, and nothing is written.
    quiet = tmp_path / "quiet"
    tables = sorted((home / "raw").glob("*.parquet"))
    visits = pd.read_parquet(home / "raw" / "inspections.parquet")
    clean = visits.assign(outcome="none", recommended_outcome=None, firearms_unaccounted_final=0)
    clean.to_parquet(tmp_path / "inspections.parquet", index=False)
    kept = [p for p in tables if p.stem not in ("inspections", "violations")]
    ingest([*kept, tmp_path / "inspections.parquet"], quiet / "warehouse")
    result = run(quiet)
    assert isinstance(result.exception, OneClassError)
    assert not (quiet / "reports").exists()
