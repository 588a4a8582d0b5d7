"""Set the level of probabilities on rows that nobody chose.

Labels of chosen rows say who is worse than whom; how often a finding is made among *all* rows they
do not say, because those who chose saw more than the columns hold. Rows drawn at random do. From
the two, a model that ranks by all labels takes its level and slope from the random ones: an
intercept and a slope on the margin, shrunk toward none where the random rows are few.

Levels move with the years, too: an epidemic or a new policy changes what inspections find. The
shift of each period is estimated on all its rows, and the newest one's is served.

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

from features.arrays import Floats

# Prior standard deviations in log-odds: a choice by hearsay may well double or halve the odds, but
# seldom changes how steeply they rise.
INTERCEPT_SPREAD: Final = 0.5
SLOPE_SPREAD: Final = 0.25
PERIOD_SPREAD: Final = 0.3
_STEPS: Final = 25
_LEAST_TOLD: Final = 1e-6
# Variance of margins below which they are all alike.
_ALIKE: Final = 1e-12


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

    def after(self, shift: float, variance: float) -> Level:
        """Return the level of margins that were shifted before."""
        covariance = self.covariance.copy()
        covariance[0, 0] += self.slope**2 * variance
        return Level(self.intercept + self.slope * shift, self.slope, covariance)


UNCHANGED: Final = Level(0.0, 1.0, np.zeros((2, 2)))


def evened(w: Floats) -> Floats:
    """Scale weights so that they count as the rows they are worth (Kish).

    Weights say how many others a row stands for, not how many rows were seen: as counts they would
    make an estimate look surer than it is.

    >>> evened(np.array([3.0, 3.0])).tolist()
    [1.0, 1.0]
    """
    total = float(w @ w)
    return w * (float(w.sum()) / total) if total > 0 else w


def fit_shifts(
    margin: Floats,
    y: Floats,
    w: Floats,
    period: npt.NDArray[np.int64],
    offset: Floats | float = 0.0,
) -> tuple[Floats, Floats]:
    """Return the shift in log-odds of each period and its variance, both of shape (n_periods,).

    Parameters
    ----------
    margin : array of shape (n,)
        Log-odds of rows the model had not seen.
    y, w : array of shape (n,)
        Outcome from 0 to 1, and weight.
    period : array of int, shape (n,)
        Codes of the periods, from 0.
    offset : array of shape (n,) or float
        Part of each row's log-odds that is known, such as the strictness of who looked.

    Examples
    --------
    >>> margin, period = np.zeros(4000), np.repeat([0, 1], 2000)
    >>> shift, _ = fit_shifts(margin, expit(np.where(period, 0.4, -0.4)), np.ones(4000), period)
    >>> shift.round(2).tolist()
    [-0.39, 0.39]
    """
    w = evened(w)
    n = int(period.max(initial=0)) + 1
    shift, information = np.zeros(n), np.full(n, PERIOD_SPREAD**-2.0)
    for _ in range(_STEPS):
        p = expit(margin + offset + shift[period])
        error = np.bincount(period, weights=w * (y - p), minlength=n)
        information = np.bincount(period, weights=w * p * (1.0 - p), minlength=n)
        information += PERIOD_SPREAD**-2.0
        shift += (error - shift * PERIOD_SPREAD**-2.0) / information
    return shift, 1.0 / information


def told_by(margin: Floats, w: Floats, offset: Floats | float = 0.0) -> Level:
    """Return no change of level, as unsure as the rows leave a line through their margins.

    Members of an ensemble whose findings were dealt evenly agree on the level however few findings
    there were, and those that are shrunk alike agree on the slope: neither is in their differences.

    Parameters
    ----------
    margin : array of shape (n,)
        Log-odds of rows the model had not seen.
    w : array of shape (n,)
        Weights; only ratios matter.
    offset : array of shape (n,) or float
        Part of each row's log-odds that is known.

    Examples
    --------
    >>> margin = np.tile([-3.0, -1.0], 500)
    >>> level = told_by(margin, np.ones(1000))
    >>> bool(level.covariance[0, 0] > level.covariance[1, 1] > 0)
    True
    """
    p = expit(margin + offset)
    w = evened(w)
    curve = w * p * (1.0 - p)
    total = max(float(curve.sum()), _LEAST_TOLD)
    middle = float(curve @ margin) / total
    squares = float(curve @ (margin - middle) ** 2)
    # Margins that are all alike have no slope to be unsure of.
    slope = 1.0 / squares if squares > _ALIKE * total else 0.0
    covariance = np.array(
        [[1.0 / total + middle**2 * slope, -middle * slope], [-middle * slope, slope]]
    )
    return Level(0.0, 1.0, covariance)


def fit_level(
    margin: Floats,
    y: Floats,
    w: Floats,
    offset: Floats | float = 0.0,
    *,
    before: Level = UNCHANGED,
) -> Level:
    """Return the level at which a margin fits the rows given.

    Parameters
    ----------
    margin : array of shape (n,)
        Log-odds of rows the model had not seen.
    y, w : array of shape (n,)
        Outcome from 0 to 1, and how many others each row stands for; only ratios matter.
    offset : array of shape (n,) or float
        Part of each row's log-odds that is known; the slope does not touch it.
    before : Level
        How unsure the level of the margin is without these rows.

    Examples
    --------
    >>> margin = np.linspace(-3.0, 1.0, 4001)
    >>> level = fit_level(margin, expit(margin - 0.7), np.ones(4001))
    >>> round(level.intercept, 1), round(level.slope, 1)
    (-0.7, 1.0)
    """
    w = evened(w)
    spread = np.array([INTERCEPT_SPREAD, SLOPE_SPREAD])

    def cost(theta: Floats) -> tuple[float, Floats]:
        moved = theta[0] + theta[1] * margin + offset
        off = (theta - (0.0, 1.0)) / spread
        each = np.logaddexp(0.0, moved) - y * moved
        error = w * (expit(moved) - y)
        gradient = np.array([error.sum(), error @ margin])
        return float(w @ each + 0.5 * off @ off), gradient + off / spread

    found = minimize(
        cost, [0.0, 1.0], jac=True, method="L-BFGS-B", bounds=[(None, None), (0.05, None)]
    )
    intercept, slope = (float(value) for value in found.x)
    p = expit(intercept + slope * margin + offset)
    design = np.column_stack([np.ones_like(margin), margin])
    prior = np.linalg.inv(np.diag(spread**2.0) + before.covariance)
    inverse = np.linalg.inv((design * (w * p * (1.0 - p))[:, None]).T @ design + prior)
    # Rows vary by themselves, whatever they stand for: the curvature in weights is not their noise.
    noise = (design * (w**2 * p * (1.0 - p))[:, None]).T @ design + prior
    return Level(intercept, slope, inverse @ noise @ inverse)
