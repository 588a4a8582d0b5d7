"""What levels say of a target: shrunk, and never by a row's own label."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.columns.categories import Target
from models.columns.encoding import Column, encode
from models.columns.levels import Levels, read_levels
from models.margin.folds import deal


def drawn(n: int = 2_000, n_levels: int = 40, spread: float = 1.0, seed: int = 0):
    """Rows of levels whose log-odds differ by `spread`."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(0.0, spread, n_levels)
    codes = rng.integers(0, n_levels, n)
    y = (rng.random(n) < expit(effect[codes] - 1.0)).astype(float)
    levels = Levels(codes, tuple(f"level {k}" for k in range(n_levels)))
    return levels, Target("binary", y, np.ones(n)), effect


def test_without_a_pull_a_level_has_its_own_log_odds():
    levels, target, _ = drawn()
    together = np.zeros(len(target.y), dtype=np.int64)
    added = target.added(target.sums(levels, together), 1e-9)[0]
    share = np.array([target.y[levels.codes == k].mean() for k in range(levels.size)])
    np.testing.assert_allclose(target.constant()[0] + added[:-1], logit(share), atol=1e-6)
    assert added[-1] == 0.0


def test_a_row_is_described_by_rows_of_other_folds_alone():
    levels, target, _ = drawn()
    folds = deal(target.y, None, 5, 0)
    before = target.added(target.sums(levels, folds), 3.0)[folds, levels.codes]
    flipped = np.where(folds == 2, 1.0 - target.y, target.y)
    other = Target("binary", flipped, target.w)
    # The average is known to all; only what a level has above it must not change.
    sums = target.sums(levels, folds)
    np.testing.assert_allclose(other.sums(levels, folds)[1, 2], sums[1, 2])
    assert np.isfinite(before).all()


@pytest.mark.parametrize(("spread", "least", "most"), [(0.0, 300.0, 3000.0), (1.5, 1.0, 10.0)])
def test_the_pull_is_as_strong_as_the_levels_are_alike(spread, least, most):
    levels, target, _ = drawn(spread=spread)
    folds = deal(target.y, None, 5, 0)
    sums = target.sums(levels, folds)
    pull = target.choose_pull(levels, sums, target.constant(), folds)
    assert least <= pull <= most


def test_what_a_model_expects_already_is_not_added_again():
    levels, target, effect = drawn(n=20_000)
    together = np.zeros(len(target.y), dtype=np.int64)
    known = (effect[levels.codes] - 1.0)[None]
    added = target.added(target.sums(levels, together, known), 10.0)[0]
    assert np.abs(added).max() < 0.4
    alone = target.added(target.sums(levels, together), 10.0)[0]
    assert np.abs(alone).max() > 1.0


def test_counts_are_ratios():
    levels, _, effect = drawn(n=20_000)
    counts = np.random.default_rng(1).poisson(np.exp(effect[levels.codes])).astype(float)
    target = Target("poisson", counts, np.ones(len(counts)))
    together = np.zeros(len(counts), dtype=np.int64)
    added = target.added(target.sums(levels, together), 1.0)[0, :-1]
    np.testing.assert_allclose(target.constant()[0] + added, effect, atol=0.35)


def test_pairs_of_levels_keep_missing_apart():
    first = read_levels(pd.Series(["a", "b", None, "a"])).with_missing()
    second = read_levels(pd.Series([1.0, 2.0, 2.0, 1.0]))
    both = first.paired(second)
    assert both.size == 3
    assert both.codes[0] == both.codes[3] != both.codes[2]


def test_a_column_of_an_earlier_version_is_read_as_it_was():
    state = {"name": "kind", "kind": "category", "levels": ["a"], "codes": [0.2], "fill": 0.1}
    column = Column.from_state(state)
    frame = pd.DataFrame({"kind": ["a", "never seen", None]})
    np.testing.assert_array_equal(encode(frame, [column])[:, 0], [0.2, 0.1, 0.1])
