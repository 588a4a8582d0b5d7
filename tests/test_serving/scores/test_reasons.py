"""Reasons name different things, the strongest first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from serving.scores.publish import measure_of, strongest

SIGNALS: list[dict[str, Any]] = [
    {"name": "volume_sales_1y", "family": "volume", "window": "1y"},
    {"name": "volume_sales_3y", "family": "volume", "window": "3y"},
    {"name": "volume_denied_share_3y", "family": "volume", "window": "3y"},
    {"name": "border_km", "family": "border", "window": None},
    {"name": "area_rate", "family": "area", "window": None},
    {"name": "tips_n_1y", "family": "tips", "window": "1y"},
    {"name": "license_age", "family": "license", "window": None},
    {"name": "network_size", "family": "network", "window": None},
    {"name": "losses_n_3y", "family": "losses", "window": "3y"},
    {"name": "traces_n_3y", "family": "traces", "window": "3y"},
]


def named(frame: pd.DataFrame, row: int = 0) -> list[str]:
    return [SIGNALS[j]["name"] for j in frame.filter(like="signal_").iloc[row]]


def test_a_measure_is_named_once_over_the_window_that_moves_most() -> None:
    first = [5.0, 4.9, *([0.1] * 8)]
    second = [4.9, 5.0, *([0.1] * 8)]

    found = strongest(np.array([first, second]), SIGNALS)

    assert "volume_sales_1y" in named(found)
    assert "volume_sales_3y" not in named(found)
    assert "volume_sales_3y" in named(found, 1)
    assert "volume_sales_1y" not in named(found, 1)


def test_raising_reasons_stand_before_lowering_ones_with_their_own_contribution() -> None:
    values = np.array([[-5.0, 0.0, 0.0, 2.0, -1.0, 3.0, 0.5, 0.1, 0.2, 0.3]])

    sizes = strongest(values, SIGNALS).filter(like="contribution_").iloc[0].tolist()

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == pytest.approx(3.0)
    assert sizes[-1] == pytest.approx(-5.0)


@pytest.mark.parametrize(("of_others", "is_named"), [(0.8, False), (0.7, True)])
def test_a_second_signal_of_a_family_counts_half(of_others: float, is_named: bool) -> None:
    values = np.array([[3.0, 0.0, 1.5, *([of_others] * 7)]])

    assert ("volume_denied_share_3y" in named(strongest(values, SIGNALS))) == is_named


@pytest.mark.parametrize(
    ("signal", "measure"),
    [
        (SIGNALS[0], "volume_sales"),
        (SIGNALS[3], "border_km"),
        ({"name": "traces_last", "window": "last calendar year"}, "traces_last"),
    ],
)
def test_what_is_measured_is_the_name_without_its_window(
    signal: dict[str, Any], measure: str
) -> None:
    assert measure_of(signal) == measure
