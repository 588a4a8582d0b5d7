"""Old labels fade where relations change, and nowhere else."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from training.labels.weights.recency import HALF_LIVES, Recency, fit_recency

N = 3000


def visits(seed: int, *, turned: bool) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Visits of eight years; what goes with findings turns to another signal after five."""
    rng = np.random.default_rng(seed)
    year = np.sort(rng.integers(2016, 2024, N))
    period = np.array([f"{y}-01-01" for y in year], dtype="datetime64[s]")
    X = pd.DataFrame(rng.normal(size=(N, 4)), columns=[f"signal_{k}" for k in range(4)])
    own = np.where(turned & (year > 2020), X["signal_1"], X["signal_0"])
    y = (rng.random(N) < expit(-1.5 + 1.2 * own)).astype(float)
    return X, y, period


def fitted(seed: int, *, turned: bool) -> Recency:
    X, y, period = visits(seed, turned=turned)
    return fit_recency(X, (y, np.ones(N)), np.zeros(N), period)


@pytest.mark.parametrize("seed", [0, 1])
def test_where_relations_turn_old_labels_fade(seed):
    found = fitted(seed, turned=True)
    assert found.half_life in (1.0, 2.0)
    assert [years for years, _, _ in found.tried] == list(HALF_LIVES)


def test_where_nothing_changes_labels_do_not_fade():
    assert [fitted(seed, turned=False).half_life for seed in range(4)].count(None) >= 3


def test_a_level_that_changes_is_no_reason_to_fade():
    X, y, period = visits(5, turned=False)
    rng = np.random.default_rng(0)
    more = (period >= np.datetime64("2021-01-01")) & (rng.random(N) < 0.25)
    assert fit_recency(X, (np.maximum(y, more), np.ones(N)), np.zeros(N), period).half_life is None


def test_too_few_years_or_findings_tell_nothing():
    X, y, period = visits(0, turned=True)
    of_two = period >= np.datetime64("2022-01-01")
    part = (X[of_two], (y[of_two], np.ones(of_two.sum())), np.zeros(of_two.sum()), period[of_two])
    assert fit_recency(*part) == Recency(None)
    assert fit_recency(X, (np.zeros(N), np.ones(N)), np.zeros(N), period) == Recency(None)


def test_a_label_weighs_half_after_each_half_life():
    _, _, period = visits(0, turned=True)
    weights = Recency(1.0).weights(period)
    assert weights.max() == 1.0
    assert weights[0] == pytest.approx(0.5**7, rel=0.01)
