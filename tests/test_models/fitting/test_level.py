"""Level on representative rows, and a finer account of the target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models import RiskClassifier
from models.calibration import Spread
from models.errors import InputError, LabelError
from models.margin.level import fit_level, told_by


@pytest.fixture(scope="module")
def chosen():
    """Rows chosen by something the columns do not show, and a few drawn at random."""
    rng = np.random.default_rng(5)
    n = 16_000
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    hearsay = rng.normal(size=n)
    burden = X["a"].to_numpy() + 0.5 * X["b"].to_numpy() + hearsay + 0.6 * rng.normal(size=n)
    p = expit(1.7 * (burden - 3.0))
    is_random = rng.random(n) < 0.10
    is_looked_at = is_random | (hearsay + X["a"] + rng.normal(size=n) > 2.3).to_numpy()
    return {
        "everyone": X,
        "p": p,
        "X": X[is_looked_at],
        "y": (rng.random(n) < p)[is_looked_at].astype(int),
        "graded": np.clip(0.2 + 0.15 * burden, 0.0, 1.0)[is_looked_at],
        "is_random": is_random[is_looked_at],
    }


def test_chosen_rows_overstate_the_rate_and_random_ones_set_it_right(chosen):
    X, y, drawn = chosen["X"], chosen["y"], chosen["is_random"]
    plain = RiskClassifier(n_repeats=1).fit(X, y)
    level = RiskClassifier(n_repeats=1).fit(X, y, representative=drawn)
    truth = chosen["p"].mean()
    naive = plain.predict_proba(chosen["everyone"])[:, 1].mean()
    right = level.predict_proba(chosen["everyone"])[:, 1].mean()
    assert naive > 1.3 * truth
    assert abs(right - truth) < 0.5 * (naive - truth)
    # The order is that of all rows, and the interval is wider by how little the random ones say.
    order = plain.predict_margin(X).argsort()
    assert (np.diff(level.predict_margin(X)[order]) >= -1e-9).all()
    assert _width(level, X) > _width(plain, X)


def _width(model: RiskClassifier, X: pd.DataFrame) -> float:
    low, high = np.clip(model.predict_interval(X), 1e-9, 1 - 1e-9).T
    return float(np.mean(logit(high) - logit(low)))


def test_the_level_survives_saving_and_explains_itself(chosen, tmp_path):
    X = chosen["X"]
    model = RiskClassifier(n_repeats=1).fit(X, chosen["y"], representative=chosen["is_random"])
    model.save(tmp_path)
    again = RiskClassifier.load(tmp_path)
    assert (again.predict_interval(X) == model.predict_interval(X)).all()
    explained = model.explain(X)
    total = explained.values.sum(axis=1) + explained.base
    np.testing.assert_allclose(total, model.predict_margin(X), atol=1e-9)


def test_without_random_rows_the_level_stays():
    level = fit_level(np.empty(0), np.empty(0), np.empty(0))
    assert (level.intercept, level.slope) == (0.0, 1.0)


@pytest.mark.parametrize("n_found", [15, 40, 120])
def test_an_interval_holds_what_few_findings_leave_of_level_and_slope(n_found):
    """Members that agree had intervals of no width; by 40 findings of noise 95% held 83%."""
    rng = np.random.default_rng(6)
    margin = rng.normal(np.log(n_found / 1_000) - 0.3, 0.7, 1_000)
    listed = np.sort(margin)[-100:]
    grid = np.linspace(margin.min(), margin.max(), 9)
    held = []
    for _ in range(600):
        y = (rng.random(1_000) < expit(margin)).astype(float)
        # The line that the findings show through the true margins is all that a fit can know.
        theta = np.array([0.0, 1.0])
        design = np.column_stack([np.ones(1_000), margin])
        for _ in range(12):
            p = expit(design @ theta)
            theta += np.linalg.solve((design.T * (p * (1 - p))) @ design, design.T @ (y - p))
        agreed = Spread(theta[0] + theta[1] * grid, np.full(9, 1e-3))
        told = agreed.at(told_by(design @ theta, np.ones(1_000)))
        low, high = told.interval(theta[0] + theta[1] * listed, 0.95)
        held.append(low.mean() <= expit(listed).mean() <= high.mean())
    assert 0.93 <= np.mean(held) <= 0.99


def test_a_level_of_margins_that_are_alike_has_no_slope_to_be_unsure_of():
    alike = told_by(np.full(500, -3.0), np.ones(500))
    assert alike.covariance[0, 0] == pytest.approx(1 / (500 * expit(-3.0) * (1 - expit(-3.0))))
    assert alike.covariance[1, 1] == 0.0


def test_what_is_unsure_before_the_drawn_rows_leaves_their_level_less_sure():
    rng = np.random.default_rng(3)
    margin = rng.normal(-2.0, 1.0, 200)
    y = (rng.random(200) < expit(margin)).astype(float)
    few = told_by(rng.normal(-4.0, 0.5, 300), np.ones(300))
    sure, unsure = (fit_level(margin, y, np.ones(200), **k) for k in ({}, {"before": few}))
    assert (unsure.intercept, unsure.slope) == (sure.intercept, sure.slope)
    assert unsure.covariance[0, 0] > sure.covariance[0, 0]


def test_few_random_rows_move_the_level_a_little():
    margin = np.full(20, -3.0)
    few = fit_level(margin, np.zeros(20), np.ones(20))
    many = fit_level(np.tile(margin, 100), np.zeros(2_000), np.ones(2_000))
    assert -0.5 < few.intercept < 0
    assert many.intercept < few.intercept
    assert few.covariance[0, 0] > many.covariance[0, 0]


@pytest.mark.slow
def test_a_finer_account_helps_while_positives_are_few(chosen):
    truth = chosen["p"]
    gain = []
    for seed in range(4):
        some = np.random.default_rng(seed).permutation(len(chosen["X"]))[:700]
        X, y = chosen["X"].iloc[some], chosen["y"][some]
        plain = RiskClassifier(n_repeats=1).fit(X, y)
        finer = RiskClassifier(n_repeats=1).fit(X, y, graded=chosen["graded"][some])
        gain.append(
            _rank_correlation(finer, chosen, truth) - _rank_correlation(plain, chosen, truth)
        )
    assert np.mean(gain) > 0.005


def _rank_correlation(model: RiskClassifier, chosen, truth) -> float:
    score = pd.Series(model.predict_margin(chosen["everyone"]))
    return float(score.corr(pd.Series(truth), method="spearman"))


def test_a_finer_account_is_left_aside_when_positives_are_many(chosen):
    X, y = chosen["X"], chosen["y"]
    assert y.sum() > 400
    plain = RiskClassifier(n_repeats=1).fit(X, y).predict_margin(X)
    finer = RiskClassifier(n_repeats=1).fit(X, y, graded=chosen["graded"]).predict_margin(X)
    np.testing.assert_array_equal(plain, finer)


@pytest.mark.parametrize("graded", [[0.5], [2.0] * 80, [np.nan] * 80])
def test_a_graded_target_out_of_range_is_refused(graded):
    X = pd.DataFrame({"a": np.arange(80.0)})
    with pytest.raises(LabelError, match="from 0 to 1"):
        RiskClassifier().fit(X, np.arange(80) % 2, graded=graded)


@pytest.mark.parametrize("drawn", [[True], np.ones(80)])
def test_representative_rows_are_flagged_by_booleans(drawn):
    X = pd.DataFrame({"a": np.arange(80.0)})
    with pytest.raises(InputError, match="boolean"):
        RiskClassifier().fit(X, np.arange(80) % 2, representative=drawn)


@pytest.mark.slow
def test_rows_without_weight_are_dropped_from_every_array():
    X = pd.DataFrame({"a": np.arange(200.0)})
    y, weight = (np.arange(200) > 120).astype(int), (np.arange(200) % 4 > 0).astype(float)
    model = RiskClassifier().fit(
        X, y, weight, graded=np.arange(200) / 200, representative=np.arange(200) % 2 == 0
    )
    kept = weight > 0
    again = RiskClassifier().fit(
        X[kept],
        y[kept],
        graded=(np.arange(200) / 200)[kept],
        representative=(np.arange(200) % 2 == 0)[kept],
    )
    np.testing.assert_allclose(model.predict_margin(X), again.predict_margin(X), atol=1e-6)


@pytest.mark.parametrize("representative", [None, 0.3])
def test_the_level_served_is_that_of_the_last_period(representative):
    rng = np.random.default_rng(9)
    n = 12_000
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    year = rng.integers(2018, 2022, n)
    # The last year finds half as many again as those before.
    p = expit(X["a"].to_numpy() - 2.5 + 0.45 * (year == 2021))
    y = (rng.random(n) < p).astype(int)
    more = {} if representative is None else {"representative": rng.random(n) < representative}
    without = RiskClassifier(n_repeats=1).fit(X, y, **more).predict_proba(X)[:, 1].mean()
    model = RiskClassifier(n_repeats=1).fit(X, y, period=year, **more)
    truth = expit(X["a"].to_numpy() - 2.05).mean()
    served = model.predict_proba(X)[:, 1].mean()
    assert without < 0.9 * truth
    assert abs(served - truth) < 0.4 * (truth - without)


def test_a_period_is_one_value_a_row():
    X = pd.DataFrame({"a": np.arange(80.0)})
    with pytest.raises(InputError, match="period"):
        RiskClassifier().fit(X, np.arange(80) % 2, period=[None] * 80)


def test_sample_weights_have_no_part_in_the_level(chosen):
    """Chosen rows' weights of up to threefold, on rows evenly spread, used to move the level."""
    X, y, drawn = chosen["X"], chosen["y"], chosen["is_random"]
    weight = np.where(drawn, np.where(y > 0, 1.66, 0.69), 1.0)
    plain = RiskClassifier(n_repeats=1).fit(X, y, representative=drawn)
    weighted = RiskClassifier(n_repeats=1).fit(X, y, weight, representative=drawn)
    rates = [m.predict_proba(chosen["everyone"])[:, 1].mean() for m in (plain, weighted)]
    # With their weights the drawn rows would seem to hold twice the findings.
    assert rates[1] == pytest.approx(rates[0], rel=0.1)


def test_drawn_rows_count_by_the_inverse_of_their_probability(chosen):
    """Half of the country is drawn five times as often and finds twice as much there."""
    rng = np.random.default_rng(2)
    n = 40_000
    margin = np.full(n, -2.5)
    is_strict = np.arange(n) < n // 2
    p = expit(np.where(is_strict, -1.8, -2.5))
    chance = np.where(is_strict, 0.25, 0.05)
    drawn = rng.random(n) < chance
    y = (rng.random(n) < p).astype(float)
    by_design = fit_level(margin[drawn], y[drawn], 1.0 / chance[drawn])
    by_count = fit_level(margin[drawn], y[drawn], np.ones(int(drawn.sum())))
    assert expit(by_design.of(margin)).mean() == pytest.approx(p.mean(), rel=0.06)
    assert expit(by_count.of(margin)).mean() > 1.2 * p.mean()


def test_weights_are_not_counts():
    """Rows that stand for a hundred each say no more than rows that stand for one."""
    rng = np.random.default_rng(1)
    margin = rng.normal(-2.0, 1.0, 300)
    y = (rng.random(300) < expit(margin)).astype(float)
    one, hundred = (fit_level(margin, y, np.full(300, w)) for w in (1.0, 100.0))
    np.testing.assert_allclose(one.covariance, hundred.covariance, rtol=1e-6)
    assert one.intercept == pytest.approx(hundred.intercept)


def test_the_stated_error_of_a_weighted_level_is_its_error():
    """Over many samples with weights from 1 to 20 the covariance says how much estimates vary."""
    rng = np.random.default_rng(0)
    found, stated = [], []
    for _ in range(300):
        margin = rng.normal(-1.0, 1.0, 400)
        weight = np.where(rng.random(400) < 0.1, 20.0, 1.0)
        y = (rng.random(400) < expit(margin)).astype(float)
        level = fit_level(margin, y, weight)
        found.append(level.intercept + level.slope * -1.0)
        stated.append(np.array([1.0, -1.0]) @ level.covariance @ np.array([1.0, -1.0]))
    assert np.var(found) <= np.mean(stated)  # the prior pulls estimates together, never apart
    assert np.var(found) > 0.3 * np.mean(stated)


@pytest.mark.parametrize("weight", [[1.0], [-1.0] * 80, [np.nan] * 80])
def test_what_rows_stand_for_is_checked(weight):
    X = pd.DataFrame({"a": np.arange(80.0)})
    with pytest.raises(InputError, match="stand for"):
        RiskClassifier().fit(
            X, np.arange(80) % 2, representative=np.ones(80, bool), representative_weight=weight
        )
