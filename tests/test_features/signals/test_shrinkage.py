"""Shrinkage toward peers: where it must go, and that it never leaves its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from features.signals.shared.shrinkage import MIN_PEERS, shrink


def world(seed, n=300, n_peers=3):
    rng = np.random.default_rng(seed)
    exposure = rng.integers(0, 500, n).astype(float)
    true_rate = rng.gamma(2.0, 0.01, n)
    return rng.poisson(exposure * true_rate).astype(float), exposure, rng.integers(0, n_peers, n)


def shrunk(events, exposure, peers, dates=None):
    index = np.zeros(len(events), np.int32) if dates is None else dates
    return shrink(events, exposure, peers=peers, date_index=index)


@pytest.mark.parametrize("seed", range(5))
def test_a_rate_lies_between_its_own_and_that_of_its_peers(seed):
    events, exposure, peers = world(seed)
    values, reasons = shrunk(events, exposure, peers)
    has = exposure > 0
    assert np.isnan(values[~has]).all()
    assert (reasons[~has] == 2).all()
    for code in np.unique(peers):
        mine = has & (peers == code)
        mean = events[mine].sum() / exposure[mine].sum()
        own = events[mine] / exposure[mine]
        low, high = np.minimum(own, mean), np.maximum(own, mean)
        assert ((values[mine] >= low - 1e-12) & (values[mine] <= high + 1e-12)).all()


@pytest.mark.parametrize("seed", range(3))
def test_little_exposure_says_little(seed):
    """The weight of the own rate, n / (n + k), rises with exposure."""
    events, exposure, peers = world(seed, n_peers=1)
    exposure[:2], events[:2] = (10, 1000), (2, 200)
    values, _ = shrunk(events, exposure, peers)
    assert abs(values[0] - 0.2) > abs(values[1] - 0.2)


def test_dates_never_share_a_prior():
    events, exposure, peers = world(1)
    alone, _ = shrunk(events, exposure, peers)
    other, more, group = world(2)
    both, _ = shrunk(
        np.concatenate([events, other * 50]),
        np.concatenate([exposure, more]),
        np.concatenate([peers, group]),
        np.repeat(np.array([0, 1], np.int32), len(events)),
    )
    np.testing.assert_array_equal(both[: len(events)], alone)


def test_few_peers_and_unknown_peers_use_all_dealers():
    events, exposure, _ = world(3, n=100)
    exposure[:] = 50
    few = np.zeros(100, np.int64)
    few[: MIN_PEERS - 1] = 7
    few[-5:] = -1
    values, _ = shrunk(events, exposure, few)
    whole, _ = shrunk(events, exposure, np.full(100, -1))
    np.testing.assert_array_equal(values[few != 0], whole[few != 0])


def test_peers_without_any_event_or_spread_give_finite_rates():
    nothing, _ = shrunk(np.zeros(50), np.full(50, 10.0), np.zeros(50, np.int64))
    np.testing.assert_array_equal(nothing, 0)
    alike, _ = shrunk(np.full(50, 3.0), np.full(50, 10.0), np.zeros(50, np.int64))
    np.testing.assert_allclose(alike, 0.3, rtol=1e-9)
