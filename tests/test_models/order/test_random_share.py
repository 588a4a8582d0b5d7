"""The draw puts few of many rows in order, and draws whom putting all in order would draw."""

from datetime import date

import numpy as np
import pytest

from models.order.random_share import Draw, hashes, lowest


def by_order_of_all(rows, n, numbers, strata, start):
    """Quotas by one systematic pass over the strata, the lowest numbers of each."""
    n = min(n, len(rows))
    found, at = [], 0
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        before = min(n, int(at * (n / len(rows)) + start)) if at else 0
        at += len(own)
        upto = n if at == len(rows) else min(n, int(at * (n / len(rows)) + start))
        found += own[np.argsort(numbers[own], kind="stable")][: upto - before].tolist()
    return rows[sorted(found, key=lambda i: numbers[i])]


@pytest.mark.parametrize("seed", range(40))
def test_the_lowest_of_each_stratum_are_drawn(seed):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 3_000))
    rows, numbers = rng.permutation(2 * m)[:m], rng.random(m)
    strata = rng.integers(-2 if seed % 4 == 0 else 0, int(rng.integers(1, 40)), m)
    n, start = int(rng.integers(1, 60)), rng.random()
    found, probability = lowest(rows, n, numbers=numbers, strata=strata, start=start)
    np.testing.assert_array_equal(found, by_order_of_all(rows, n, numbers, strata, start))
    assert probability == min(n, m) / m


def test_numbers_by_code_are_those_by_name():
    names = np.array(["Phoenix", "Dallas", "Houston"], dtype=object)
    place = np.array([2, 0, 0, 1, 2])
    dealers = np.array([f"1-11-{i:05d}" for i in range(5)], dtype=object)
    draw = Draw.kept(b"k" * 32, date(2026, 4, 1))
    by_code = draw.numbers_of(names.tolist(), place, hashes(dealers), use="mandatory")
    np.testing.assert_array_equal(by_code, draw.numbers(names[place], dealers, use="mandatory"))
    assert draw.start_of({"Dallas", "Houston"}) == draw.start(np.array(["Houston", "Dallas"] * 2))
