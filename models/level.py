"""Set the level of probabilities on rows that nobody chose.

Labels of chosen rows say who is worse than whom; how often a finding is made among *all* rows they
do not say, because those who chose saw more than the columns hold. Rows drawn at random do. From
the two, a model that ranks by all labels takes its level and slope from the random ones: an
intercept and a slope on the margin, shrunk toward none where the random rows are few.

References
----------
Henderson et al. (2022), a random share that keeps evaluation honest; Cox (1958), calibration by
intercept and slope; Steyerberg (2009), shrunken recalibration of prediction models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

Floats = npt.NDArray[np.float64]

# Prior standard deviations in log-odds: a choice by hearsay may well double or halve the odds, but
# seldom changes how steeply they rise.
INTERCEPT_SPREAD: Final = 0.5
SLOPE_SPREAD: Final = 0.25


@dataclass(frozen=True)
class Level:
    """An intercept and a slope on a margin.

    Parameters
    ----------
    intercept, slope : float
    covariance : array of shape (2, 2)
        How sure both are.
    """

    intercept: float
    slope: float
    covariance: Floats

    def of(self, margin: Floats) -> Floats:
        """Return the margin at this level."""
        return self.intercept + self.slope * margin


def fit_level(margin: Floats, y: Floats, w: Floats) -> Level:
    """Return the level at which a margin fits the rows given.

    Parameters
    ----------
    margin : array of shape (n,)
        Log-odds of rows the model had not seen.
    y, w : array of shape (n,)
        Outcome from 0 to 1, and weight.

    Examples
    --------
    >>> margin = np.linspace(-3.0, 1.0, 4001)
    >>> level = fit_level(margin, expit(margin - 0.7), np.ones(4001))
    >>> round(level.intercept, 1), round(level.slope, 1)
    (-0.7, 1.0)
    """
    spread = np.array([INTERCEPT_SPREAD, SLOPE_SPREAD])

    def cost(theta: Floats) -> tuple[float, Floats]:
        moved = theta[0] + theta[1] * margin
        off = (theta - (0.0, 1.0)) / spread
        each = np.logaddexp(0.0, moved) - y * moved
        error = w * (expit(moved) - y)
        gradient = np.array([error.sum(), error @ margin])
        return float(w @ each + 0.5 * off @ off), gradient + off / spread

    found = minimize(
        cost, [0.0, 1.0], jac=True, method="L-BFGS-B", bounds=[(None, None), (0.05, None)]
    )
    intercept, slope = (float(value) for value in found.x)
    p = expit(intercept + slope * margin)
    design = np.column_stack([np.ones_like(margin), margin])
    information = (design * (w * p * (1.0 - p))[:, None]).T @ design + np.diag(spread**-2.0)
    return Level(intercept, slope, np.linalg.inv(information))
