"""Prices of visits and weeks, and the bound that they prove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.arrays import Floats, Ints
from serving.planning.solving.selection import Selection

_BISECTIONS: Final = 10


@dataclass(frozen=True)
class Prices:
    """What the program says that visits and weeks are worth.

    Parameters
    ----------
    visit : array, shape (n,)
    week : array, shape (number of starts,), not decreasing
        Of a week of the shortest length from each start on.
    overdue : float
        What an overdue dealer is worth beyond its yield.
    longer : array, shape (number of lengths,), not decreasing
        What a week of each length costs beyond the shortest.
    """

    visit: Floats
    week: Floats
    overdue: float
    longer: Floats

    def of(self, length: int) -> Floats:
        """Return the price of a week by start, of the lengths the one at this place."""
        price: Floats = self.week + self.longer[length]
        return price

    def between(self, other: Prices) -> Prices:
        """Return the prices half way to others."""
        return Prices(
            (self.visit + other.visit) / 2,
            (self.week + other.week) / 2,
            (self.overdue + other.overdue) / 2,
            (self.longer + other.longer) / 2,
        )


@dataclass(frozen=True)
class Judged:
    """A bound in two parts: of whole visits, and what visits in parts add to it."""

    total: float
    of_cut: Callable[..., float]


def first_prices(
    problem: Selection, whole: Ints, lengths: Floats, n_starts: int, *, hours: float
) -> Prices:
    """Return prices at which an hour costs the same everywhere and the quota is just met.

    Parameters
    ----------
    whole : array of int
        The visits that are not in parts.
    lengths : array
        Hours of a week, of each length.
    hours : float
        Of all weeks.
    """

    def filled(overdue: float) -> tuple[float, int]:
        """Return what an hour yields at the margin, and how many of the overdue are in."""
        worth = problem.gain + np.where(problem.is_overdue, overdue, 0.0)
        rate = np.where(problem.is_required, np.inf, worth / problem.load)
        order = np.argsort(-rate, kind="stable")
        at = int(np.searchsorted(np.cumsum(problem.load[order]), hours))
        hour = float(rate[order[at]]) if at < len(order) else 0.0
        return hour, int(problem.is_overdue[order[:at]].sum())

    low, high = 0.0, float(problem.gain.max())
    hour, n_overdue = filled(low)
    if n_overdue < problem.n_overdue_wanted:
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2.0
            is_met = filled(middle)[1] >= problem.n_overdue_wanted
            low, high = (low, middle) if is_met else (middle, high)
        low, hour = high, filled(high)[0]
    if not np.isfinite(hour):
        hour = float((problem.gain / problem.load).max())
    counted = np.where(problem.is_overdue, low, 0.0)
    price = (problem.gain + counted - hour * problem.load)[whole]
    is_free = problem.is_required[whole]
    week = np.full(n_starts, hour * lengths[0])
    longer = hour * (lengths - lengths[0])
    return Prices(np.where(is_free, price, np.maximum(price, 0.0)), week, low, longer)
