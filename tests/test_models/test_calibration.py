"""Served intervals cover what they say they cover, over many training samples."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from models import RateRegressor, RiskClassifier
from models.calibration import Band, CountInterval, fit_band, fit_count_interval
from models.linear import mean_of


def covered(score, p_true, lower, upper, n_bins=200):
    """Share of rows whose interval holds the true share of positives among rows of their score."""
    order = np.argsort(score)
    bins = np.empty(len(score), dtype=int)
    bins[order] = np.arange(len(score)) * n_bins // len(score)
    truth = (np.bincount(bins, weights=p_true) / np.bincount(bins))[bins]
    return float(np.mean((lower <= truth) & (truth <= upper)))


@pytest.mark.parametrize("bend", [0.0, 0.15, 0.35])
def test_the_band_covers_the_true_share_at_its_level(bend):
    # Two hundred calibration samples; the served margin is blended on them, as in a fit, and the
    # truth is a line or a curve of it.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        score = rng.normal(-2.5, 1.0, 2000)
        p = 1 / (1 + np.exp(-(0.6 * score - 1.0 + bend * (score + 2.5) ** 2)))
        y = (rng.random(2000) < p).astype(float)
        blended = LogisticRegression(C=1e6).fit(score[:, None], y)
        margin = blended.decision_function(score[:, None])
        lower, upper = fit_band(margin, y, np.ones(2000), None).interval(margin, 0.9)
        found.append(np.mean((lower <= p) & (p <= upper)))
    # It also reaches to the served straight line, which makes it a little wider than it must be.
    assert 0.88 <= np.mean(found) <= 0.97


def test_served_intervals_of_a_fitted_classifier_cover(draw):
    found = []
    for seed in range(6):
        X, y, _ = draw(1500, 100 + seed)
        model = RiskClassifier(n_repeats=1, max_rounds=80).fit(X, y)
        new, _, p = draw(20000, 500 + seed)
        interval = model.predict_interval(new, coverage=0.9)
        found.append(covered(model.predict_margin(new), p, *interval.T))
    assert 0.80 <= np.mean(found) <= 1.0


def test_repeated_rows_of_one_dealer_are_no_new_evidence():
    rng = np.random.default_rng(1)
    margin = rng.normal(-2, 1, 800)
    y = (rng.random(800) < mean_of("binary", margin)).astype(float)
    dealers = np.arange(800)
    once = fit_band(margin, y, np.ones(800), dealers)
    often = fit_band(np.tile(margin, 5), np.tile(y, 5), np.ones(4000), np.tile(dealers, 5))
    width = np.diff(np.column_stack(once.interval(margin, 0.9)), axis=1)
    same = np.diff(np.column_stack(often.interval(margin, 0.9)), axis=1)
    np.testing.assert_allclose(same, width, rtol=0.15, atol=2e-3)


def test_probabilities_are_calibrated_on_rare_outcomes(draw):
    X, y, _ = draw(4000, 31)
    model = RiskClassifier(n_repeats=1, max_rounds=80).fit(X, y)
    new, _, p = draw(20000, 32)
    served = model.predict_proba(new)[:, 1]
    assert served.mean() == pytest.approx(p.mean(), rel=0.15)
    top = served >= np.quantile(served, 0.9)
    assert served[top].mean() == pytest.approx(p[top].mean(), rel=0.2)


def test_count_intervals_cover_new_counts(draw):
    X = draw(3000, 41)[0]
    rng = np.random.default_rng(42)
    rate = np.exp(0.5 * np.log1p(X["count_0"]))
    y = rng.negative_binomial(2.0, 2.0 / (2.0 + rate))
    model = RateRegressor(n_repeats=1, max_rounds=60).fit(X[:1500], y[:1500])
    for coverage in (0.8, 0.9):
        lower, upper = model.predict_interval(X[1500:], coverage=coverage).T
        inside = np.mean((lower <= y[1500:]) & (y[1500:] <= upper))
        # Counts are whole numbers: the interval covers its level or a little more.
        assert coverage - 0.03 <= inside <= coverage + 0.08


def test_count_intervals_hold_where_most_counts_are_zero():
    rng = np.random.default_rng(43)
    mean = np.where(rng.random(20_000) < 0.9, 0.01, 3.0)
    y = rng.poisson(mean)
    lower, upper = fit_count_interval(mean, y, np.ones(len(y))).interval(mean, 0.9)
    inside = (lower <= y) & (y <= upper)
    assert inside[mean > 1].mean() >= 0.9
    assert np.all((lower <= mean) & (mean <= np.maximum(upper, 1.0)))


def test_a_count_that_is_poisson_is_not_called_dispersed():
    rng = np.random.default_rng(0)
    mean = rng.gamma(2.0, 1.0, 5000)
    assert fit_count_interval(mean, rng.poisson(mean), np.ones(5000)).dispersion < 0.05


def test_state_survives_the_round_trip():
    rng = np.random.default_rng(0)
    margin = rng.normal(size=500)
    band = fit_band(margin, (rng.random(500) < 0.5).astype(float), np.ones(500), None)
    again = Band.from_state(band.state())
    np.testing.assert_array_equal(again.interval(margin, 0.8), band.interval(margin, 0.8))
    counts = fit_count_interval(np.exp(margin), rng.poisson(np.exp(margin)), np.ones(500))
    same = CountInterval.from_state(counts.state())
    np.testing.assert_array_equal(
        same.interval(np.exp(margin), 0.8), counts.interval(np.exp(margin), 0.8)
    )


def test_wider_coverage_is_a_wider_interval(classifier, draw):
    X = pd.DataFrame(draw(100, 8)[0])
    narrow, wide = classifier.predict_interval(X, 0.5), classifier.predict_interval(X, 0.95)
    assert (wide[:, 0] <= narrow[:, 0]).all()
    assert (wide[:, 1] >= narrow[:, 1]).all()
