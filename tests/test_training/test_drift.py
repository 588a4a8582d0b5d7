"""Drift is found where it is, and the advice follows."""

import numpy as np
import pandas as pd
import pytest

from models import Bundle, RiskClassifier
from models.policy import Policy
from models.profile import Profile
from training.drift import drift, stability_index, summary


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=2000), "b": rng.normal(size=2000)})
    model = RiskClassifier(n_repeats=1, n_folds=2, max_rounds=20).fit(X, X["a"] > 1)
    return Bundle(
        {"later_penalized": model},
        Policy.read(),
        [{"name": "a"}, {"name": "b"}],
        Profile.of(X, {"later_penalized": model.predict_margin(X)}),
        "card",
        {
            "name": "m", "as_of": "2024-01-01", "restriction": "public", "data_fingerprint": "",
            "git_commit": "",
        },
    )  # fmt: skip


def rows(seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(shift, 1, 2000), "b": rng.normal(size=2000)})


def test_the_same_world_has_not_drifted(bundle):
    found = drift(bundle, rows(1))
    assert {d.name for d in found} == {"a", "b", "later_penalized"}
    assert all(d.stability_index < 0.1 for d in found)
    assert summary(found)["advice"] == "none"


def test_a_moved_signal_moves_the_head_and_asks_for_training(bundle):
    found = {d.name: d for d in drift(bundle, rows(2, shift=1.5))}
    assert found["a"].stability_index > 0.25
    assert found["b"].stability_index < 0.1
    assert found["later_penalized"].stability_index > 0.25
    assert summary(list(found.values()))["advice"] == "train again"


def test_a_signal_that_vanished_points_to_its_source(bundle):
    X = rows(3)
    X["b"] = np.nan
    found = drift(bundle, X)
    assert {d.name: d.advice for d in found}["b"] == "check the source"
    assert summary(found)["advice"] == "check the source"


def test_the_index_is_symmetric_and_grows_with_distance():
    even, odd, far = (np.array(v) for v in ([0.5, 0.5], [0.6, 0.4], [0.9, 0.1]))
    assert stability_index(even, odd) == pytest.approx(stability_index(odd, even))
    assert 0 < stability_index(even, odd) < stability_index(even, far)
