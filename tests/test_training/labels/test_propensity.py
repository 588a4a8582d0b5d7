"""Weights undo a known selection; where they cannot, that is said."""

import numpy as np
import pytest

from training.errors import WeightsError
from training.labels.propensity import Propensity, fit_propensity, overlap


@pytest.mark.parametrize("seed", range(4))
def test_weights_bring_the_naive_rate_nearer_the_truth(world, seed):
    X, inspected, y, p_severe, _ = world(seed)
    propensity = fit_propensity(X, inspected, np.arange(len(X)), seed=seed)
    truth, naive = p_severe.mean(), y[inspected].mean()
    weights = propensity.weights()
    weighted = (weights @ y) / weights.sum()
    assert abs(weighted - truth) < abs(naive - truth) / 3


def test_probabilities_are_calibrated(world):
    X, inspected, _, _, p = world(9, n=20_000)
    found = fit_propensity(X, inspected, np.arange(len(X)))
    assert np.abs(found.probability - p).mean() < 0.03


def test_weighting_balances_the_signals(world):
    X, inspected, *_ = world(1)
    report = overlap(fit_propensity(X, inspected, np.arange(len(X))), X)
    assert report.imbalance < 0.1 < report.imbalance_before
    assert report.effective_n < report.n_inspected
    assert report.share_out_of_reach < 0.02


def test_no_overlap_is_reported(world):
    X, _, _, _, _ = world(2)
    inspected = X["risk"].to_numpy() > 1.0
    report = overlap(fit_propensity(X, inspected, np.arange(len(X))), X)
    assert report.share_out_of_reach > 0.25


def test_weights_that_are_all_clipped_raise():
    inspected = np.array([True] * 10 + [False] * 90)
    propensity = Propensity(np.where(inspected, 1e-6, 0.11), inspected, 0.5)
    with pytest.raises(WeightsError, match="Every inverse-propensity weight was clipped"):
        propensity.weights()


def test_where_everybody_is_inspected_each_counts_once(world):
    """A regulator that visits every dealer in a year could not train at all."""
    X, *_ = world(3, n=100)
    found = fit_propensity(X, np.ones(100, dtype=bool), np.arange(100))
    assert found.probability.tolist() == found.weights().tolist() == [1.0] * 100
    assert found.training_weights().tolist() == [1.0] * 100
    report = overlap(found, X)
    assert report.effective_n == report.n_inspected == 100
    assert report.share_out_of_reach == report.share_clipped == 0.0


def test_one_dealer_who_was_not_inspected_stops_nothing(world):
    X, *_ = world(3, n=100)
    for inspected in (np.arange(100) > 0, np.arange(100) == 0):
        found = fit_propensity(X, inspected, np.arange(100))
        assert np.isfinite(found.weights()).all()
        assert (found.weights()[inspected] > 0).all()


def test_nothing_inspected_raises(world):
    X, *_ = world(3, n=100)
    with pytest.raises(WeightsError, match="0 of 100"):
        fit_propensity(X, np.zeros(100, dtype=bool), np.arange(100))
