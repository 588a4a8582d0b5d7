"""Visits since the day of training, set against what was served of the same dealers."""

from dataclasses import asdict
from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from training.labels.dated_labels import DELAY_WEIGHT, Labels
from training.studies.drift import summary
from training.studies.findings_since import FindingsSince, against

DAY = date(2023, 1, 1)
N = 2500


def since(
    *,
    times: float = 1.0,
    turned: bool = False,
    drawn: bool = True,
    n_visits: int = N,
    seed: int = 0,
) -> FindingsSince:
    """Compare visits that find `times` the served odds, or in another order altogether."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"dealer": [f"1-54-{i:05d}" for i in range(N)], "as_of": pd.Timestamp(DAY)})
    margin = rng.normal(-2.0, 0.8, N)
    served = expit(margin)
    true = np.minimum(times * served, 1.0)
    y = (rng.random(N) < (np.where(turned, expit(-4.0 - margin), true))).astype(float)
    frame = rows.assign(
        y=y,
        graded=y,
        selected_by="random" if drawn else "risk",
        office="",
        investigator="",
        **{DELAY_WEIGHT: 1.0},
    )
    found = Labels(frame.iloc[:n_visits].reset_index(drop=True), "severe finding", 12)
    return against(rows, served, found, DAY)


def test_a_world_that_stands_asks_for_nothing():
    several = [since(seed=seed) for seed in range(3)]
    assert [found.advice for found in several].count("none") >= 2
    found = several[0]
    assert found.found_over_served.low < 1.0 < found.found_over_served.high
    assert found.auc.low > 0.6


@pytest.mark.parametrize("times", [0.6, 1.6])
def test_a_level_that_moved_asks_for_training(times):
    found = since(times=times)
    assert found.advice == "train again"
    assert found.found_over_served.value == pytest.approx(times, rel=0.15)
    assert "times what was served" in found.says


def test_a_level_among_chosen_visits_is_not_judged():
    found = since(times=1.6, drawn=False)
    assert found.found_over_served is None
    assert found.advice == "none"
    assert "known probability" in found.says


def test_an_order_that_no_longer_holds_asks_for_training_however_visits_were_chosen():
    found = since(turned=True, drawn=False)
    assert found.auc.high < 0.55
    assert found.advice == "train again"


def test_few_findings_say_nothing():
    found = since(times=3.0, n_visits=20)
    assert (found.auc, found.found_over_served, found.advice) == (None, None, "none")
    assert "needed to say" in found.says


def looked_at(margin, effect, *, seed: int) -> FindingsSince:
    """Compare visits by inspectors of whom each adds an `effect` of his own to the log-odds."""
    rng, n = np.random.default_rng(seed), len(margin)
    rows = pd.DataFrame({"dealer": [f"1-54-{i:05d}" for i in range(n)], "as_of": pd.Timestamp(DAY)})
    y = (rng.random(n) < expit(margin + rng.choice(effect, n))).astype(float)
    frame = rows.assign(
        y=y, graded=y, selected_by="random", office="", investigator="", **{DELAY_WEIGHT: 1.0}
    )
    return against(rows, expit(margin), Labels(frame, "severe finding", 12), DAY)


def test_inspectors_who_differ_are_no_level_that_moved():
    """Served is what the average one finds; as they are they find a tenth more: 1.1 was "watch"."""
    effect = norm.ppf((np.arange(40) + 0.5) / 40) * 0.6
    margin = np.random.default_rng(1).normal(-2.0, 0.8, 10_000)
    found = [looked_at(margin, effect, seed=seed) for seed in range(4)]
    assert all(one.found_over_served.excludes(1.0) for one in found)
    assert [one.advice for one in found] == ["none"] * 4
    assert "accounts for as much" in found[0].says


@pytest.mark.parametrize("seed", [104, 112, 192])
def test_few_findings_are_judged_exactly(seed):
    """Resampling a dozen findings of an unchanged world ordered a training, twice of a level."""
    margin = np.random.default_rng(seed).normal(-2.2, 0.3, 120)
    found = looked_at(margin, [0.0], seed=seed + 1000)
    assert 10 <= found.n_findings < 25
    assert found.advice == "none"


def test_the_study_of_drift_acts_on_it():
    moved = since(times=1.6)
    told = summary([], since=moved)
    assert told["advice"] == "train again"
    assert told["what_to_do"][0].startswith("Train again: visits since found")
    assert told["findings"] == asdict(moved)
    assert summary([])["findings"] is None
