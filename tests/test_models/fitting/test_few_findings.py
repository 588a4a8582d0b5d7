"""Few findings: what they do not tell stays the average, and rows are left out to first order."""

import numpy as np
import pytest
from scipy.special import expit

from models import RateRegressor, RiskClassifier
from models.linear import Problem

N, Q = 300, 40


def noise(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, Q))


def entropy(true: float, p: np.ndarray) -> float:
    return float(-(true * np.log(p) + (1 - true) * np.log(1 - p)).mean())


@pytest.mark.parametrize("is_common", [False, True])
@pytest.mark.parametrize("n_found", [1, 3, 5, 9, 10, 12])
def test_of_noise_few_findings_serve_the_average_and_hold_it(n_found, is_common):
    """The weakest penalty served .86 to some by nine findings of 300, and .05 by ten."""
    y = (np.arange(N) % (N // n_found) == 0).astype(float)
    y[np.flatnonzero(y)[n_found:]] = 0.0
    y = 1.0 - y if is_common else y
    model = RiskClassifier(n_jobs=1).fit(noise(n_found), y)
    new = noise(99)
    p = model.predict_proba(new)[:, 1]
    rate = float(y.mean())
    assert entropy(rate, p) < entropy(rate, np.full(1, rate)) + 0.004
    low, high = np.asarray(model.predict_interval(new, 0.9)).reshape(-1, 2).T
    assert ((low <= rate) & (rate <= high)).mean() > 0.85


def test_the_fewer_the_findings_the_less_is_made_of_them():
    rng = np.random.default_rng(0)
    X = noise(0)[:, :4]
    score = 3.0 * X[:, 0] + rng.normal(size=N)
    spread = []
    for n_found in (3, 6, 9):
        y = (score >= np.sort(score)[-n_found]).astype(float)
        spread.append(
            float(RiskClassifier(n_jobs=1).fit(X, y).predict_margin(noise(5)[:, :4]).std())
        )
    assert spread[0] <= spread[1] <= spread[2]
    assert spread[2] > 0.5  # nine that one column tells without doubt


def test_few_counts_of_noise_serve_their_mean():
    y = np.zeros(N)
    y[::40] = 3.0
    rate = RateRegressor(n_jobs=1).fit(noise(3), y).predict(noise(4))
    assert rate.mean() == pytest.approx(y.mean(), rel=0.1)
    assert rate.max() < 3 * y.mean()


def test_only_ratios_of_weights_matter_where_findings_are_few_and_rows_are_not():
    y = (np.arange(N) % 40 == 0).astype(float)
    X = noise(1)
    found = [
        RiskClassifier(n_jobs=1).fit(X, y, sample_weight=np.full(N, w)).predict_margin(X)
        for w in (0.001, 1.0, 1000.0)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-9)
    np.testing.assert_allclose(found[2], found[1], atol=1e-9)


@pytest.mark.parametrize("together", [1, 3])
def test_rows_left_out_to_first_order_are_as_if_left_out(together):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(90, 6))
    y = (rng.random(90) < expit(X[:, 0] - 1.0)).astype(float)
    groups = np.arange(90) // together
    problem = Problem("binary", X, y, np.ones(90), [(None, None)] * 6, np.zeros(6))
    said = problem.left_out(problem.solve(10.0), 10.0, groups)
    for group in range(0, groups.max(), 7):
        own = groups == group
        theta = problem.of(np.flatnonzero(~own)).solve(10.0)
        np.testing.assert_allclose(said[own], theta[0] + X[own] @ theta[1:], atol=0.03)


@pytest.mark.parametrize("slope", [0.0, 1.5])
def test_the_interval_of_the_listed_tenth_holds_its_truth_by_few_findings(slope):
    """Where one column tells much, 95% intervals by five findings lay below a truth of four."""
    n_found = 5
    held = []
    for draw in range(40):
        rng = np.random.default_rng(draw)
        X, new = rng.normal(size=(400, 8)), rng.normal(size=(1_000, 8))
        base = np.log(n_found / 400) - 0.5 * slope**2
        y = (rng.random(400) < expit(base + slope * X[:, 0])).astype(float)
        if y.sum() < 2:
            continue
        model = RiskClassifier(n_repeats=1, n_jobs=1).fit(X, y)
        margin = model.predict_margin(new)
        listed = np.argsort(-margin)[:100]
        true = expit(base + slope * new[listed, 0]).mean()
        _, low, high = model.from_margin(margin[listed], 0.95)
        held.append(low.mean() <= true <= high.mean())
    assert np.mean(held) >= 0.9
