"""Weights undo a known selection; where they cannot, that is said."""

import numpy as np
import pandas as pd
import pytest

from training.errors import TooFewLabelsError, WeightsError
from training.heads.compliance.yield_estimates import History, doubly_robust, weighted
from training.labels.weights.propensity import Propensity, fit_propensity, overlap


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
        propensity.training_weights()
    # What rests on such weights cannot be said; a judged year is no reason to stop.
    assert propensity.weights().max() == 10.0
    names = np.arange(100).astype(str)
    past = History(propensity, inspected * 1.0, np.zeros(100, dtype=bool), names, names)
    for estimate in (weighted, lambda h, on: doubly_robust(h, on, np.full(100, 0.1))):
        with pytest.raises(TooFewLabelsError, match="cannot be told"):
            estimate(past, np.ones(100))


@pytest.mark.parametrize("n_outside", [1, 2, 12])
def test_a_visit_outside_lists_that_are_obeyed_stops_nothing(n_outside):
    """One further visit of a dealer that is often visited ended the whole training."""
    inspected = np.arange(100) < 10
    known = np.where(np.arange(100) < 10 - min(n_outside, 8), 10.0, 0.0)
    propensity = Propensity(np.where(inspected, 0.9, 0.05), inspected, 0.9, None, known)
    assert (propensity.training_weights()[inspected] > 0).all()
    alone = Propensity(np.where(inspected, 1e-6, 0.05), np.arange(100) < 3, 0.9)
    assert np.isfinite(alone.training_weights()).all()  # three visits show no rule
    assert np.isfinite(overlap(propensity, pd.DataFrame({"a": np.arange(100.0)})).effective_n)


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
