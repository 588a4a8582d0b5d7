"""Each way of estimating a list's yield, against the truth of a small world."""

import numpy as np
import pytest

from training.errors import TooFewLabelsError
from training.evaluation.evaluation import list_membership
from training.heads import yields
from training.labels.propensity import Propensity, fit_propensity


def history(
    world, seed: int, *, strength: float = 1.0, share_random: float = 0.05, n: int = 12_000
):
    X, chosen, y, p_severe, _ = world(seed, n=n, strength=strength)
    rng = np.random.default_rng(seed + 100)
    is_random = rng.random(n) < share_random
    inspected = chosen | is_random
    propensity = fit_propensity(X, inspected, np.arange(n), seed=seed)
    past = yields.History(
        propensity, y, is_random, np.arange(n), np.array([f"{i % 8}" for i in range(n)])
    )
    return X, past, p_severe


@pytest.mark.parametrize("seed", range(3))
def test_treated_estimates_are_nearer_the_truth_than_the_naive_one(world, seed):
    X, past, p_severe = history(world, seed)
    # A list by another signal: its yield is that of a random list.
    listed = list_membership(X["noise"], 0.2)
    truth = (listed @ p_severe) / listed.sum()
    naive = abs(yields.naive(past, listed).value - truth)
    assert abs(yields.weighted(past, listed).value - truth) < naive / 2
    expected = np.full(len(X), past.found.sum() / past.inspected.sum())
    assert abs(yields.doubly_robust(past, listed, expected).value - truth) < naive / 2
    unbiased = yields.random_stratum(past, listed)
    assert unbiased.low <= truth <= unbiased.high


def test_doubly_robust_is_right_when_only_the_model_is(world):
    X, past, p_severe = history(world, 4)
    wrong = Propensity(np.full(len(X), past.inspected.mean()), past.inspected, 0.5)
    past = yields.History(wrong, past.y, past.is_random, past.dealer, past.office)
    listed = list_membership(X["noise"], 0.2)
    truth = (listed @ p_severe) / listed.sum()
    right_model = abs(yields.doubly_robust(past, listed, p_severe).value - truth)
    assert right_model < 0.02
    assert right_model < abs(yields.naive(past, listed).value - truth) / 2


def test_bounds_hold_the_truth_where_nobody_looked(world):
    X, past, p_severe = history(world, 5, share_random=0.0)
    risk = X["risk"].to_numpy()
    seen = past.inspected & (risk > 0.0)
    propensity = fit_propensity(X.assign(is_high=(risk > 0).astype(float)), seen, np.arange(len(X)))
    past = yields.History(propensity, past.y, past.is_random, past.dealer, past.office)
    listed = list_membership(X["noise"], 0.3)
    found = yields.bounds(past, listed)
    truth = (listed @ p_severe) / listed.sum()
    assert np.isnan(found.value)
    assert found.low <= truth <= found.high
    assert found.high - found.low > 0.1


def test_the_random_share_gives_the_national_rate(world):
    _, past, p_severe = history(world, 6, n=20_000)
    found = yields.national_rate(past)
    assert found.low <= p_severe.mean() <= found.high
    assert past.found.sum() / past.inspected.sum() > found.high


def test_contraction_needs_an_office_that_inspected_more_than_the_list(world):
    X, past, _ = history(world, 7)
    assert yields.contraction(past, X["risk"].to_numpy(), share=0.9) is None
    by_risk = yields.contraction(past, X["risk"].to_numpy(), share=0.05)
    by_noise = yields.contraction(past, X["noise"].to_numpy(), share=0.05)
    assert by_risk.low > by_noise.high


def test_a_list_nobody_inspected_has_no_rate(world):
    X, past, _ = history(world, 8)
    listed = np.where(past.inspected, 0.0, 1.0)
    with pytest.raises(TooFewLabelsError, match="0 inspected and listed"):
        yields.naive(past, listed)
    found = yields.every_estimate(past, X["risk"].to_numpy(), np.full(len(X), 0.1), share=0.1)
    assert set(found) == {
        "naive", "weighted", "random_stratum", "bounds", "doubly_robust", "contraction",
    }  # fmt: skip


def test_a_random_share_without_findings_still_says_how_little_it_knows():
    n = 400
    is_random = np.arange(n) < 60
    propensity = Propensity(np.full(n, 0.15), is_random, 0.5)
    past = yields.History(propensity, np.zeros(n), is_random, np.arange(n), np.full(n, "1"))
    found = yields.random_stratum(past, np.ones(n))
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0.04 < found.high < 0.08


def test_what_the_model_says_of_its_list_is_the_mean_of_the_listed():
    score = np.array([0.1, 0.4, 0.2, 0.3])
    interval = np.column_stack([score - 0.05, score + 0.1])
    found = yields.served(score, interval, share=0.5)
    np.testing.assert_allclose([found.value, found.low, found.high], [0.35, 0.30, 0.45])
