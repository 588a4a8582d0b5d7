"""Consistency between divisions: chance taken off, and no larger for being measured on more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from features.insight.measures.divisions import spread_between
from features.insight.measures.formula import evaluate


def drawn(rng, n_divisions, visits, mean, deviation):
    share = np.clip(rng.normal(mean, deviation, n_divisions), 0.001, 0.999)
    n = np.full(n_divisions, visits)
    return rng.binomial(n, share), n


@pytest.mark.parametrize("n_divisions", [6, 25, 100])
def test_the_interval_holds_the_true_spread_however_many_divisions_there_are(n_divisions):
    """As often as it says; highest less lowest grew with their number."""
    rng = np.random.default_rng(n_divisions)
    found = [spread_between(*drawn(rng, n_divisions, 400, 0.2, 0.05)) for _ in range(200)]
    held = np.mean([one.low <= 0.05 <= one.high for one in found])
    assert 0.90 <= held <= 0.99
    assert np.median([one.value for one in found]) == pytest.approx(0.05, abs=0.006)


def test_more_divisions_make_the_interval_narrower():
    rng = np.random.default_rng(4)
    widths = []
    for n in (6, 25, 100):
        found = [spread_between(*drawn(rng, n, 400, 0.2, 0.05)) for _ in range(40)]
        widths.append(np.median([one.high - one.low for one in found]))
    assert widths[0] > widths[1] > widths[2]


def test_equal_divisions_differ_by_chance_alone():
    """Half of the time nothing is left; an interval that leaves 0 is a false alarm, and rare."""
    rng = np.random.default_rng(7)
    found = [spread_between(*drawn(rng, 25, 100, 0.05, 0.0)) for _ in range(200)]
    assert np.mean([one.low > 0 for one in found]) < 0.06
    assert np.mean([one.value == 0 for one in found]) > 0.35


def test_it_is_the_published_estimate():
    """Paule and Mandel with equal visits is the variance of the shares less that of chance."""
    severe, visits = np.array([2, 9, 4, 15]), np.full(4, 100)
    p = severe.mean() / 100
    expected = math.sqrt((severe / 100).var(ddof=1) - p * (1 - p) / 100)
    assert spread_between(severe, visits).value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("severe", "visits"), [([1, 2], [10, 10]), ([1, 2, 0], [10, 10, 0]), ([0, 0, 0], [9, 9, 9])]
)
def test_too_few_divisions_or_no_finding_at_all_tell_nothing(severe, visits):
    assert spread_between(np.array(severe), np.array(visits)) is None


def test_a_figure_may_bring_its_interval():
    figures = {"a": 0.02, "b": 0.01, "c": 0.04}
    told = evaluate("within(a, b, c)", figures, what="x")
    assert (told.value, told.low, told.high) == (0.02, 0.01, 0.04)
    assert evaluate("within(a, b, c)", {**figures, "c": None}, what="x") is None
