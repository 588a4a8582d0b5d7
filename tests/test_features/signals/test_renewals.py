"""Renewals: an expiry that moves ahead by years, and none that wavers by days."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from features.signals.shared.careers import walk_listings

EPOCH = date(1970, 1, 1)


@pytest.mark.parametrize(
    ("expiries", "n_renewals"),
    [
        (["2021-06-01", "2024-06-01", "2027-06-01"], 2),
        (
            ["2021-06-01", "2021-06-30", "2021-06-01", "2021-06-30"],
            0,
        ),  # a month, by its ends
        (["2021-06-01", "2024-06-01", "2021-06-01", "2024-06-01"], 1),  # a source that lags
        (["2021-06-01", None, "2024-06-01"], 1),
        (["2024-06-01", "2021-06-01"], 0),
        (["2021-06-01"], 0),
    ],
)
def test_only_an_expiry_far_beyond_the_latest_is_a_renewal(expiries, n_renewals):
    n = len(expiries)
    days = [-1 if one is None else (date.fromisoformat(one) - EPOCH).days for one in expiries]
    found = walk_listings(
        np.array([0, n]),
        np.arange(n, dtype=np.int32),
        np.full(n, 99_999, np.int32),
        (np.array(days, np.int32), np.full(n, -1, np.int64)),
        np.array([20_000], np.int32),
        1825,
    )
    assert found[2][0, 0] == n_renewals
