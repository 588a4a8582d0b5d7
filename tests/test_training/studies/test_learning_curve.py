"""A learning curve grows by whole dealers, each part within the next, judged on the same rows."""

import itertools

import numpy as np
import pandas as pd
import pytest

from training.errors import TooFewLabelsError
from training.labels.dated_labels import Labels
from training.studies.learning_curve import learning_curve


@pytest.fixture
def known() -> Labels:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "dealer": [f"1-54-{i:05d}" for i in rng.integers(0, 500, 1200)],
            "as_of": pd.Timestamp("2022-01-01"),
            "known_on": pd.Timestamp("2022-06-01"),
            "y": (rng.random(1200) < 0.1).astype(float),
        }
    )
    return Labels(frame, "severe", 12)


@pytest.fixture
def judged() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    y = (rng.random(800) < 0.2).astype(float)
    return pd.DataFrame({"y": y, "weight": 1.0, "cluster": np.arange(800) // 2})


def test_parts_are_nested_and_hold_whole_dealers(known, judged):
    dealers: list[set[str]] = []

    def fit(part: Labels):
        dealers.append(set(part.frame["dealer"]))
        return np.zeros(800), np.zeros(800)

    found = learning_curve(known, fit, judged, min_positive=5, seed=0)
    assert [p["n_labels"] for p in found] == sorted(p["n_labels"] for p in found)
    assert found[-1]["n_labels"] == len(known)
    for smaller, larger in itertools.pairwise(dealers):
        assert smaller < larger
    for part, n in zip(dealers, (62, 125, 250, 500), strict=True):
        assert len(part) == pytest.approx(n, rel=0.12)


def test_a_model_that_learns_rises_and_its_gain_is_paired(known, judged):
    rng = np.random.default_rng(2)
    noise, y = rng.normal(size=800), judged["y"].to_numpy()

    def fit(part: Labels):
        return len(part) / 600 * y + noise, noise

    found = learning_curve(known, fit, judged, min_positive=5, seed=0)
    values = [p["auc_model"]["value"] for p in found]
    assert values == sorted(values)
    assert len({p["auc_logistic"]["value"] for p in found}) == 1
    for p in found:
        difference = p["auc_model"]["value"] - p["auc_logistic"]["value"]
        assert p["gain"]["value"] == pytest.approx(difference)
    wide = found[-1]["auc_model"]
    assert found[-1]["gain"]["low"] > 0
    assert wide["low"] < wide["value"] < wide["high"]


def test_parts_with_too_few_findings_are_left_out(known, judged):
    def fit(part: Labels):
        return np.zeros(800), np.zeros(800)

    found = learning_curve(known, fit, judged, min_positive=80, seed=0)
    assert [p["n_labels"] for p in found] == [len(known)]
    with pytest.raises(TooFewLabelsError, match="at least 900"):
        learning_curve(known, fit, judged, min_positive=900, seed=0)
