"""Each way of estimating a list's yield, against the truth of a small world."""

import numpy as np
import pytest

from training.errors import TooFewLabelsError
from training.evaluation.head_evaluation import list_membership
from training.evaluation.metrics import weighted_share
from training.heads.compliance import yield_estimates as yields
from training.labels.weights.propensity import Propensity, fit_propensity


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
        "naive", "weighted", "by_design", "random_stratum", "bounds", "doubly_robust",
        "contraction",
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


def test_a_model_of_few_findings_states_bounds_and_no_point():
    score = np.array([0.1, 0.4, 0.2, 0.3])
    interval = np.column_stack([score - 0.05, score + 0.1])
    few, enough = (
        yields.served(score, interval, share=0.5, n_severe=n) for n in (19, 20)
    )  # fmt: skip
    assert str(few) == "0.300 to 0.450"
    assert str(enough) == "0.350 (0.300 to 0.450)"


def test_bounds_are_the_worst_and_the_best_case_of_everyone_not_looked_at(world):
    X, past, _ = history(world, 9)
    listed = list_membership(X["noise"], 0.25)
    clean = (listed * past.inspected) @ past.y / listed.sum()
    severe = clean + (listed * ~past.inspected).sum() / listed.sum()
    found = yields.bounds(past, listed)
    assert np.isnan(found.value)
    assert (found.low, found.high) == (pytest.approx(clean), pytest.approx(severe))
    assert str(found) == f"{clean:.3f} to {severe:.3f}"


def test_without_a_visit_of_known_probability_only_bounds_are_stated(world):
    X, past, _ = history(world, 10, share_random=0.0)
    found = yields.every_estimate(past, X["risk"].to_numpy(), np.full(len(X), 0.1), share=0.1)
    assert not past.has_design
    assert {name for name, value in found.items() if value is not None} == {"bounds"}


@pytest.mark.parametrize("seed", range(3))
def test_an_obeyed_list_and_a_few_drawn_dealers_give_the_yield_by_design(world, seed):
    """The list was chosen by risk, so what it finds is four times the rate of the country."""
    X, _, y, p_severe, _ = world(seed, n=20_000)
    rng = np.random.default_rng(seed + 50)
    is_listed = X["risk"].rank(ascending=False).to_numpy() <= 1_000
    chance = np.where(X["noise"] > 0, 0.03, 0.01)
    is_drawn = ~is_listed & (rng.random(len(X)) < chance)
    inspected = is_listed | is_drawn
    known = np.where(is_listed, 1.0, np.where(is_drawn, 1.0 / chance, 0.0))
    propensity = Propensity(np.full(len(X), 0.1), inspected, 0.5, known=known)
    past = yields.History(
        propensity, y, is_drawn, np.arange(len(X)), np.full(len(X), "1"), known=known
    )
    # A candidate's list that overlaps the issued one by half.
    score = X["risk"].to_numpy() + 0.7 * rng.normal(size=len(X))
    listed = list_membership(score, 0.05)
    truth = listed @ p_severe / listed.sum()
    found = yields.by_design(past, listed)
    assert found.low <= truth <= found.high
    naive = yields.naive(past, listed)
    assert abs(found.value - truth) < abs(naive.value - truth) + 0.02
    national = yields.national_rate(past)
    assert national.low <= p_severe.mean() <= national.high
    assert past.found.sum() / inspected.sum() > 1.5 * national.high


@pytest.mark.parametrize("rate", [0.05, 0.12, 0.3])
@pytest.mark.parametrize("n", [24, 80])
def test_the_interval_of_few_visits_holds_the_truth_at_its_nominal_level(rate, n):
    """A bootstrap of 24 visits held it 87 times in a hundred."""
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(800):
        y = (rng.random(n) < rate).astype(float)
        found = weighted_share(y, np.ones(n), np.arange(n))
        held += found.low <= rate <= found.high
    assert held / 800 >= 0.95 - 0.01


def test_the_interval_holds_with_unequal_weights_and_clusters():
    rng = np.random.default_rng(3)
    held, n = 0, 60
    for _ in range(800):
        is_rare = rng.random(n) < 0.5
        weight = np.where(is_rare, 4.0, 1.0)
        p = np.where(is_rare, 0.05, 0.3)
        truth = (0.5 * 4 * 0.05 + 0.5 * 0.3) / (0.5 * 4 + 0.5)
        y = (rng.random(n) < p).astype(float)
        found = weighted_share(y, weight, np.arange(n))
        held += found.low <= truth <= found.high
    assert held / 800 >= 0.94
    twice = weighted_share(np.tile(y, 2), np.tile(weight, 2), np.tile(np.arange(n), 2))
    assert (twice.low, twice.high) == (pytest.approx(found.low), pytest.approx(found.high))


def test_an_office_that_is_generous_and_small_leaves_its_list_unsaid():
    """An office of 80 dealers that visited a third makes a list of eight: that is no refusal."""
    n = 400
    office = np.where(np.arange(n) < 80, "small", "large")
    is_random = (np.arange(n) < 27) | (np.arange(n) % 20 == 0)
    past = yields.History(
        Propensity(np.full(n, 0.1), is_random, 0.5),
        (np.arange(n) % 3 == 0).astype(float),
        is_random,
        np.arange(n),
        office,
    )
    score = np.linspace(0.0, 1.0, n)
    found = yields.every_estimate(past, score, np.full(n, 0.3), share=0.1)
    assert found["contraction"] is None
    drawn = is_random & (score >= 0.9)
    assert found["by_design"].value == pytest.approx(past.y[drawn].mean())
