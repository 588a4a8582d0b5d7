"""Rows replaced again and again read as an array would in which they were written over."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serving.scores.table.replaced_rows import ReplacedRows

N, P = 40, 3


def replaced(rng, *, at_once):
    """The table after some replacements, the array it must read like, and what came before."""
    plain = rng.normal(size=(N, P)).astype(np.float32)
    plain[3, 1] = np.nan
    table = ReplacedRows(plain.copy())
    before, before_plain = table, plain.copy()
    for _ in range(5):
        rows = rng.choice(N, at_once, replace=False)
        values = rng.normal(size=(at_once, P)).astype(np.float32)
        before, before_plain = table, plain.copy()
        table = table.replaced(rows, values)
        plain[rows] = values
    return table, plain, before, before_plain


# One at a time stays few; seven at a time are soon most of all rows.
@pytest.mark.parametrize("at_once", [1, 7])
def test_every_way_to_ask_gives_what_the_array_gives(at_once):
    rng = np.random.default_rng(at_once)
    table, plain, before, before_plain = replaced(rng, at_once=at_once)
    rows, flags = rng.integers(0, N, 25), rng.random(N) < 0.5
    keys = [
        *range(-N, N), *((row, 1) for row in range(N)), slice(None), slice(3, 20), slice(0, 0),
        [5], rows, flags, rows[:0], (rows, 2), (slice(None), 1), (rows, slice(1, 3)), np.int64(7),
    ]  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(table[key], plain[key], err_msg=str(key))
    np.testing.assert_array_equal(np.asarray(table), plain)
    pd.testing.assert_frame_equal(pd.DataFrame(table), pd.DataFrame(plain))
    np.testing.assert_array_equal(np.asarray(before), before_plain)
    assert (len(table), table.shape, table[rows].dtype) == (N, (N, P), np.float32)


def test_rows_that_stay_are_shared_and_not_copied():
    base = np.zeros((1_000, P), dtype=np.float32)
    table = ReplacedRows(base)
    for row in range(100):
        table = table.replaced(np.array([row]), np.full((1, P), row, dtype=np.float32))
    assert np.shares_memory(table[999], base)
    assert table[[99, 999], 0].tolist() == [99.0, 0.0]
    assert not base.any()
