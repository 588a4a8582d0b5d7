"""Kernels against the plainest loops over random events."""

from __future__ import annotations

import numpy as np
import pytest

from features.domain.asof import NEVER
from features.engine import kernels

AS_OF = np.array([100, 101, 130, 400, 401, 900], dtype=np.int32)
N_DEALERS = 5


@pytest.fixture(params=range(4))
def events(request):
    rng = np.random.default_rng(request.param)
    n = 400
    dealer = np.sort(rng.choice([0, 1, 3, 4], n)).astype(np.int32)  # dealer 2 has none
    known = rng.integers(50, 950, n)
    known = known[np.lexsort((known, dealer))].astype(np.int32)
    is_fixed = rng.random(n) < 0.3
    superseded = np.where(is_fixed, known + rng.integers(0, 200, n), NEVER).astype(np.int32)
    return dealer, known, superseded, rng


def inside(known, superseded, when, window):
    return (known < when) & (known >= when - window) & (superseded >= when)


def prepared(known, superseded, window):
    enters = kernels.places(AS_OF, known)
    return enters, kernels.leaves(AS_OF, known, superseded, window)


def starts(dealer):
    return np.searchsorted(dealer, np.arange(N_DEALERS + 1)).astype(np.int64)


def test_places_are_the_first_date_after_each_day():
    days = np.arange(-5, 2000, dtype=np.int32)
    np.testing.assert_array_equal(
        kernels.places(AS_OF, days), np.searchsorted(AS_OF, days, side="right")
    )
    never = np.array([NEVER, np.iinfo(np.int32).min], dtype=np.int32)
    np.testing.assert_array_equal(kernels.places(AS_OF, never), [len(AS_OF), 0])


@pytest.mark.parametrize("window", [30, 365, 36500])
def test_sums(events, window):
    dealer, known, superseded, rng = events
    enters, leaves = prepared(known, superseded, window)
    value = kernels.quantize(rng.normal(size=len(dealer)) * 1000)
    bits = rng.integers(0, 4, len(dealer)).astype(np.uint64)
    spec = np.array([[0, -1, 0], [1, 0, 0]], dtype=np.int32)
    into = np.empty((2, N_DEALERS, len(AS_OF)), dtype=np.float32)
    kernels.sums(dealer, enters, leaves[None], bits=bits, values=value[None], spec=spec, into=into)
    for k, when in enumerate(AS_OF):
        is_in = inside(known, superseded, when, window)
        for d in range(N_DEALERS):
            mine = is_in & (dealer == d)
            assert into[0, d, k] == (mine & (bits & 1 == 1)).sum()
            assert into[1, d, k] == np.float32(value[mine & (bits & 2 == 2)].sum())


@pytest.mark.parametrize("window", [30, 365, 36500])
def test_last_rows_follow_the_rank_and_give_way_when_superseded(events, window):
    dealer, known, superseded, rng = events
    enters, leaves = prepared(known, superseded, window)
    rank = rng.integers(0, 5, len(dealer)).astype(float)
    found = np.empty((N_DEALERS, len(AS_OF)), dtype=np.int64)
    kernels.last_rows(starts(dealer), enters, leaves, leaves > enters, rank, found)
    for k, when in enumerate(AS_OF):
        for d in range(N_DEALERS):
            mine = np.flatnonzero(inside(known, superseded, when, window) & (dealer == d))
            best = max(mine, key=lambda i: (rank[i], i)) if len(mine) else -1
            assert found[d, k] == best


@pytest.mark.parametrize("window", [30, 365, 36500])
def test_quantiles_are_numpys(events, window):
    dealer, known, superseded, rng = events
    enters, leaves = prepared(known, superseded, window)
    days = rng.integers(0, 70_000, len(dealer)).astype(np.int32)
    levels = np.array([0.0, 0.1, 0.5, 1.0])
    into = np.empty((4, N_DEALERS, len(AS_OF)), dtype=np.float32)
    kernels.quantiles(
        starts(dealer), enters, leaves, np.ones(len(dealer), bool), days, levels, into
    )
    for k, when in enumerate(AS_OF):
        for d in range(N_DEALERS):
            mine = days[inside(known, superseded, when, window) & (dealer == d)].clip(max=65_535)
            expected = np.quantile(mine, levels) if len(mine) else np.full(4, np.nan)
            np.testing.assert_allclose(into[:, d, k], expected, rtol=1e-6)


@pytest.mark.parametrize("window", [30, 365, 36500])
def test_distinct_counts_repeats_and_squares(events, window):
    dealer, known, superseded, rng = events
    enters, leaves = prepared(known, superseded, window)
    code = rng.integers(-1, 6, len(dealer)).astype(np.int32)
    into = np.empty((3, N_DEALERS, len(AS_OF)), dtype=np.float32)
    kernels.distinct(starts(dealer), enters, leaves, code, 6, into)
    for k, when in enumerate(AS_OF):
        for d in range(N_DEALERS):
            mine = code[inside(known, superseded, when, window) & (dealer == d) & (code >= 0)]
            n = np.bincount(mine, minlength=6)
            assert list(into[:, d, k]) == [(n > 0).sum(), n[n > 1].sum(), (n**2).sum()]


def test_sums_of_quantized_numbers_are_exact_in_any_order():
    """Multiples of 2^-20 below 2^32 add without rounding in 53 bits of precision."""
    rng = np.random.default_rng(0)
    values = kernels.quantize(rng.random(5000) * 1000)
    assert len({values[rng.permutation(5000)].cumsum()[-1] for _ in range(20)}) == 1


def test_rows_are_put_together_by_dealer_as_they_came():
    rng = np.random.default_rng(1)
    dealer = rng.integers(0, 9, 500).astype(np.int32)
    start, place = kernels.group(dealer, 11)
    np.testing.assert_array_equal(place, np.argsort(dealer, kind="stable"))
    np.testing.assert_array_equal(start, np.searchsorted(np.sort(dealer), np.arange(12)))


def test_codes_tell_the_keys_of_a_dealer_apart():
    rng = np.random.default_rng(2)
    dealer = np.sort(rng.choice([0, 1, 3, 4], 400))
    keys = np.array([0, 3, 2**63, 2**64 - 1, 64, 128], dtype=np.uint64)  # some share a slot
    key = rng.choice(keys, 400)
    code, n_codes = kernels.codes(starts(dealer), key)
    assert (code[key == 0] == -1).all()
    assert code.max() < n_codes
    for d in range(N_DEALERS):
        mine = (dealer == d) & (key > 0)
        pairs = set(zip(key[mine].tolist(), code[mine].tolist(), strict=True))
        assert len(pairs) == len(np.unique(key[mine])) == len(np.unique(code[mine]))


def test_cells_go_to_the_rows_of_their_dealers():
    rng = np.random.default_rng(3)
    is_in = rng.random((4, 30)) < 0.6  # dates by dealers
    date_index, dealer = np.nonzero(is_in)
    bounds = np.searchsorted(date_index, np.arange(5))
    grid = rng.random((30, 4)).astype(np.float32)
    found = np.full(len(dealer), np.nan, dtype=np.float32)
    for first, end in ((0, 7), (7, 8), (8, 30)):
        part = grid[first:end]
        kernels.put(part, (first, end), bounds, dealer.astype(np.int32), found)
    np.testing.assert_array_equal(found, grid[dealer, date_index])
