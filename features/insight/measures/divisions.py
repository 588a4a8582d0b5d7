"""How far divisions differ in severe outcomes beyond what chance alone makes of equal ones.

The highest less the lowest share grows with the number of divisions and falls with their visits.
What is told instead is the standard deviation of the divisions' true shares about their mean (a
random effect): by Paule and Mandel (1982), with the 95% interval of the Q profile (Viechtbauer
2007). More divisions make the interval narrower and move neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MIN_DIVISIONS: Final = 3
_MOST: Final = 0.5  # no shares differ by a greater standard deviation


@dataclass(frozen=True)
class Spread:
    """A standard deviation between divisions and its 95% interval."""

    value: float
    low: float
    high: float


def spread_between(
    severe: npt.NDArray[np.integer], visits: npt.NDArray[np.integer]
) -> Spread | None:
    """Return how far the shares of divisions differ, chance taken off; None below three of them.

    Parameters
    ----------
    severe, visits : ndarray of int, shape (n,)
        Of each division; those without a visit are left out.

    Examples
    --------
    >>> spread_between(np.array([5, 5, 5, 5]), np.array([100, 100, 100, 100])).value
    0.0
    """
    from scipy import stats  # slow to import

    n = visits[visits > 0].astype(np.float64)
    x = severe[visits > 0].astype(np.float64)
    mean = float(x.sum() / n.sum()) if len(n) else 0.0
    if len(n) < MIN_DIVISIONS or not 0 < mean < 1:
        return None
    share = x / n
    # Chance by the mean of all: a division's own share would call a single finding of few certain.
    chance = mean * (1 - mean) / n

    def left(variance: float) -> float:
        """Sum of squares that is left beyond chance and a variance between divisions."""
        weights = 1 / (chance + variance)
        middle = float(np.average(share, weights=weights))
        return float((weights * (share - middle) ** 2).sum())

    free = len(n) - 1
    ends = [stats.chi2.ppf(level, free) for level in (0.975, 0.025)]
    low, high = (math.sqrt(_where(left, end)) for end in ends)
    return Spread(math.sqrt(_where(left, free)), low, high)


def _where(falling: Callable[[float], float], level: float) -> float:
    """Return where a falling function comes down to a level; 0 where it begins below it."""
    from scipy import optimize

    if falling(0.0) <= level:
        return 0.0
    most = _MOST**2
    if falling(most) >= level:
        return most
    return float(optimize.brentq(lambda v: falling(v) - level, 0.0, most, xtol=1e-12))
