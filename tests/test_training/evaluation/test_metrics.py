"""Rankings with ties, intervals by cluster, calibration."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from training.errors import OneClassError
from training.evaluation.metrics import (
    Ranking,
    bootstrap,
    brier,
    calibration_errors,
    effective_sample_size,
    reliability,
    require_two_classes,
)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=4, max_size=60),
)
def test_auc_agrees_with_scikit_learn_when_scores_tie(pairs):
    score = np.array([s for s, _ in pairs], dtype=float)
    y = np.array([label for _, label in pairs], dtype=float)
    if len(np.unique(y)) < 2:
        assert np.isnan(Ranking(score).auc(y))
        return
    assert Ranking(score).auc(y) == pytest.approx(roc_auc_score(y, score))


def test_weighted_auc_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    score, y, w = rng.integers(0, 9, 300), rng.integers(0, 2, 300), rng.random(300)
    expected = roc_auc_score(y, score, sample_weight=w)
    assert Ranking(score).auc(y.astype(float), weight=w) == pytest.approx(expected)


def test_captured_is_the_mean_over_every_order_of_tied_rows():
    score, y = np.array([2.0, 1.0, 1.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    found = []
    for middle in itertools.permutations([1, 2, 3]):
        order = [0, *middle, 4]
        found.append(y[order[:2]].sum())
    ranking = Ranking(score)
    assert ranking.captured(y, share=0.4) == pytest.approx(np.mean(found))
    assert ranking.captured_range(y, share=0.4) == (min(found), max(found))


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="finite"):
        Ranking([0.1, np.nan])


def test_ndcg_agrees_with_scikit_learn():
    rng = np.random.default_rng(1)
    score, gain = rng.integers(0, 20, 100).astype(float), rng.integers(0, 4, 100).astype(float)
    expected = ndcg_score([gain], [score], k=10)
    assert Ranking(score).ndcg(gain, share=0.1) == pytest.approx(expected)


def test_gain_curve_ends_with_everything():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 50).astype(float)
    curve = Ranking(rng.random(50)).gain_curve(y, np.array([0.1, 0.5, 1.0]))
    assert curve[-1] == pytest.approx(1.0)
    assert (np.diff(curve) >= 0).all()


def test_the_bootstrap_covers_the_mean():
    covered = 0
    for seed in range(60):
        values = np.random.default_rng(seed).normal(0.0, 1.0, 80)
        (interval,) = bootstrap(
            lambda w, v=values: np.average(v, weights=w), np.arange(80), n_resamples=200, seed=seed
        )
        covered += interval.low <= 0 <= interval.high
    assert covered >= 52  # 95% nominal; below 52 of 60 is a one in a thousand event


def test_rows_of_one_cluster_are_drawn_together():
    # 50 copies of each of 10 values carry no more information than the 10.
    values = np.random.default_rng(3).normal(size=10)
    rows, clusters = np.repeat(values, 50), np.repeat(np.arange(10), 50)

    def mean(w):
        return np.average(rows, weights=w)

    (together,) = bootstrap(mean, clusters, n_resamples=400)
    (apart,) = bootstrap(mean, np.arange(500), n_resamples=400)
    assert together.high - together.low > 4 * (apart.high - apart.low)


def test_the_bootstrap_repeats_itself():
    values = np.arange(30.0)

    def mean(w):
        return np.average(values, weights=w)

    assert bootstrap(mean, values, seed=5) == bootstrap(mean, values, seed=5)
    assert bootstrap(mean, values, seed=5) != bootstrap(mean, values, seed=6)


@pytest.mark.parametrize("is_count", [False, True])
def test_intervals_of_a_calibration_curve_hold_the_rate_as_often_as_they_say(is_count):
    rng = np.random.default_rng(3)
    held = []
    for _ in range(200):
        p = rng.uniform(0.02, 0.3, 600) * (10 if is_count else 1)
        y = (rng.poisson(p) if is_count else rng.random(600) < p).astype(float)
        curve = reliability(y, p)
        low, high = curve.interval(is_count=is_count)
        held += list((low <= curve.predicted) & (curve.predicted <= high))
    assert 0.94 <= np.mean(held) <= 0.99
    none = reliability(np.zeros(24), np.full(24, 0.1), n_bins=1)
    low, high = none.interval(is_count=is_count)
    assert low[0] == 0
    assert high[0] == pytest.approx(0.1425 if not is_count else 0.1537, abs=1e-3)


@pytest.mark.parametrize("clump", [0.2, 1.0])
def test_intervals_of_clumped_counts_hold_the_rate_of_the_listed_tenth(clump):
    """Traces clump at a few dealers, each judged in three years: 95% intervals held half of it."""
    rng = np.random.default_rng(4)
    expected = np.exp(rng.normal(size=1_000))
    expected *= 250 / 3 / expected.sum()
    dealer, p = np.tile(np.arange(1_000), 3), np.tile(expected, 3)
    true = float(np.sort(expected)[-100:].mean())
    held = []
    for _ in range(200):
        own = rng.gamma(clump, 1 / clump, 1_000)
        y = rng.poisson(p * own[dealer]).astype(float)
        low, high = reliability(y, p, clusters=dealer).interval(is_count=True)
        held.append(low[-1] <= true <= high[-1])
    assert 0.90 <= np.mean(held) <= 0.99


def test_a_weight_of_few_rows_widens_the_interval_of_their_bin():
    y, p = np.tile([0.0, 1.0], 50), np.full(100, 0.5)
    even = reliability(y, p, n_bins=1).interval(is_count=False)
    odd = reliability(y, p, n_bins=1, weight=np.r_[np.ones(90), np.full(10, 50.0)])
    low, high = odd.interval(is_count=False)
    assert high[0] - low[0] > 2 * (even[1][0] - even[0][0])


def test_reliability_of_true_probabilities_is_close():
    rng = np.random.default_rng(4)
    p = rng.uniform(0, 0.2, 40_000)
    y = (rng.random(40_000) < p).astype(float)
    curve = reliability(y, p)
    assert curve.size.sum() == 40_000
    assert curve.ece < 0.006
    assert reliability(y, p / 2).ece > 0.04
    assert brier(y, p) < brier(y, p / 2)


def test_equal_weights_lose_nothing_and_one_heavy_row_loses_most():
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7.0)
    assert effective_sample_size(np.r_[1000.0, np.ones(9)]) < 1.1


def test_one_class_is_refused_and_named():
    with pytest.raises(OneClassError, match="compliance"):
        require_two_classes(np.zeros(5), what="compliance")


@pytest.mark.parametrize("n", [7, 40, 403])
def test_calibration_errors_of_many_are_those_of_each(n):
    rng = np.random.default_rng(n)
    p, weight = np.round(rng.random(n), 1), rng.uniform(0.0, 2.0, n)
    weight[: n // 5] = 0.0
    drawn = (rng.random((6, n)) < p).astype(float)
    each = [reliability(y, p, weight=weight).ece for y in drawn]
    assert calibration_errors(drawn, p, weight) == pytest.approx(each)
