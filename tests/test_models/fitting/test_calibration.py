"""Intervals: what they hold, how they widen, and that they survive a file."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models import RateRegressor, RiskClassifier
from models.calibration import CountInterval, Spread, fit_count_interval, fit_spread
from models.margin.level import Level


@pytest.fixture(scope="module")
def spread() -> Spread:
    rng = np.random.default_rng(0)
    margin = rng.normal(-2.0, 1.5, 3000)
    return fit_spread(margin, 0.05 + 0.02 * (margin + 2.0) ** 2, 300)


@pytest.mark.parametrize("coverage", [0.05, 0.5, 0.9, 0.999])
def test_the_served_probability_lies_properly_inside(spread, coverage):
    margin = np.linspace(-9.0, 6.0, 200)
    lower, upper = spread.interval(margin, coverage)
    assert (lower < expit(margin)).all()
    assert (expit(margin) < upper).all()
    assert ((lower >= 0) & (upper <= 1)).all()


def test_a_margin_that_varies_more_has_a_wider_interval(spread):
    lower, upper = np.log(spread.interval(np.array([-2.0, 2.0]), 0.9))
    assert np.diff(upper - lower)[0] != 0
    assert spread.errors[0] > spread.errors[4] < spread.errors[-1]


def test_few_of_the_rarer_class_widen_it():
    margin = np.random.default_rng(0).normal(size=500)
    few, many = (fit_spread(margin, np.full(500, 0.04), n) for n in (12, 12_000))
    np.testing.assert_allclose(few.errors, 2.0 * many.errors, rtol=0.01)


def test_at_another_level_it_is_less_sure(spread):
    level = Level(-0.5, 1.2, np.diag([0.2, 0.01]))
    moved = spread.at(level)
    np.testing.assert_allclose(moved.margins, level.of(spread.margins))
    assert (moved.errors > 1.2 * spread.errors).all()


def test_a_band_of_an_earlier_version_is_still_read():
    state = {
        "knots": [-1.0, 0.0, 1.0],
        "center": -2.0,
        "scale": 0.5,
        "coefficients": [-2.0, 0.5, 0.0],
        "covariance": np.diag([0.04, 0.01, 0.0]).tolist(),
    }
    lower, upper = Spread.from_state(state).interval(np.array([-2.0, -1.0]), 0.9)
    width = np.log(upper / (1 - upper)) - np.log(lower / (1 - lower))
    np.testing.assert_allclose(width, 2 * 1.6449 * np.sqrt([0.04, 0.08]), rtol=0.01)


def test_repeated_rows_of_one_dealer_are_no_new_evidence(draw):
    X, y, _ = draw(600, 3)
    dealers = np.arange(600)
    quick = {"n_repeats": 1, "max_rounds": 30}
    once = RiskClassifier(**quick).fit(X, y, groups=dealers).bands_[0]
    four = pd.concat([X] * 4), np.tile(y, 4)
    often = RiskClassifier(**quick).fit(*four, groups=np.tile(dealers, 4)).bands_[0]
    # Four times as many rows of its own would halve it.
    assert np.median(often.errors) > 0.6 * np.median(once.errors)


def test_too_few_rows_to_leave_any_out_are_very_unsure(draw):
    X, y, _ = draw(50, 9)
    model = RiskClassifier().fit(X, y)
    width = np.diff(model.predict_interval(draw(200, 10)[0]), axis=1)
    assert np.isfinite(width).all()
    assert np.median(width) > 0.1


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


def test_an_expected_count_lies_inside_its_interval():
    rng = np.random.default_rng(44)
    mean = np.exp(rng.normal(-3.0, 2.0, 5000))
    fitted = fit_count_interval(mean, rng.poisson(mean), np.ones(5000))
    for coverage in (0.5, 0.9):
        lower, upper = fitted.interval(mean, coverage)
        assert ((lower <= mean) & (mean <= upper)).all()


def test_state_survives_the_round_trip(spread):
    margin = np.linspace(-3, 3, 50)
    again = Spread.from_state(spread.state())
    np.testing.assert_array_equal(again.interval(margin, 0.8), spread.interval(margin, 0.8))
    rng = np.random.default_rng(0)
    counts = fit_count_interval(np.exp(margin), rng.poisson(np.exp(margin)), np.ones(50))
    same = CountInterval.from_state(counts.state())
    np.testing.assert_array_equal(
        same.interval(np.exp(margin), 0.8), counts.interval(np.exp(margin), 0.8)
    )


def test_wider_coverage_is_a_wider_interval(classifier, draw):
    X = pd.DataFrame(draw(100, 8)[0])
    narrow, wide = classifier.predict_interval(X, 0.5), classifier.predict_interval(X, 0.95)
    assert (wide[:, 0] <= narrow[:, 0]).all()
    assert (wide[:, 1] >= narrow[:, 1]).all()
