"""Intervals for probabilities and counts, from rows their model had not seen.

**Probability**: the interval says where the true share of positives lies *among dealers with this
score*, at the stated coverage or somewhat more. It is the confidence band of a logistic regression
of the outcome on a natural spline of the held-out score, with a covariance clustered by group,
widened to hold the served probability. It does not say how far a single dealer may differ from
others with its score.

**Count**: the interval says where the dealer's own count falls, at the stated coverage or more
(counts are whole numbers). It is a negative-binomial interval whose level is set so that the
held-out counts of dealers with a like expected count are covered (cross-conformal, in bins).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import nbinom, norm, poisson

from models.level import Level
from models.linear import Problem, weighted_quantiles

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Fewer rows of the rarer class than this for each bend, and the band stays a straight line.
_MIN_RARE_PER_KNOT: Final = 25
_KNOT_RANKS: Final = (0.05, 0.35, 0.65, 0.95)
_RIDGE: Final = 1e-3
# Bounds of the expected count between the bins, and the rows below which a bin is not fitted.
_COUNT_BINS: Final = (0.1, 1.0, 10.0)
_MIN_COUNT_BIN: Final = 100
_N_LEVELS: Final = 1001


@dataclass(frozen=True)
class Band:
    """Confidence band of the probability as a function of the margin.

    Parameters
    ----------
    knots : array of shape (k,)
        Knots of the natural spline; empty for a straight line.
    center, scale : float
        Standardize the margin.
    coefficients : array of shape (d,)
    covariance : array of shape (d, d)
        Clustered by group.
    """

    knots: Floats
    center: float
    scale: float
    coefficients: Floats
    covariance: Floats

    def interval(self, margin: Floats, coverage: float) -> tuple[Floats, Floats]:
        """Return lower and upper probability; both enclose the served probability."""
        design = _spline((margin - self.center) / self.scale, self.knots)
        middle = design @ self.coefficients
        error = np.sqrt(np.einsum("ij,jk,ik->i", design, self.covariance, design))
        half = float(norm.ppf(0.5 + coverage / 2.0)) * error
        served = expit(margin)
        return (
            np.minimum(expit(middle - half), served),
            np.maximum(expit(middle + half), served),
        )

    def at(self, level: Level) -> Band:
        """Return the band of the margin at another level, less sure by how sure the level is."""
        to_coefficients = np.array([[1.0, self.center], [0.0, self.scale]])
        covariance = level.slope**2 * self.covariance
        covariance[:2, :2] += to_coefficients @ level.covariance @ to_coefficients.T
        coefficients = level.slope * self.coefficients
        coefficients[0] += level.intercept
        center = level.intercept + level.slope * self.center
        return Band(self.knots, center, level.slope * self.scale, coefficients, covariance)

    def state(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "knots": self.knots.tolist(),
            "center": self.center,
            "scale": self.scale,
            "coefficients": self.coefficients.tolist(),
            "covariance": self.covariance.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Band:
        """Rebuild it from `state`."""
        return cls(
            np.asarray(state["knots"], dtype=np.float64),
            float(state["center"]),
            float(state["scale"]),
            np.asarray(state["coefficients"], dtype=np.float64),
            np.asarray(state["covariance"], dtype=np.float64),
        )


def fit_band(margin: Floats, y: Floats, w: Floats, groups: Ints | None) -> Band:
    """Fit a band on held-out margins.

    Parameters
    ----------
    margin, y, w : array of shape (n,)
        Held-out margin, outcome 0 or 1, weight.
    groups : array of int, shape (n,), optional
        Rows of one group are one observation for the covariance.
    """
    center = float(np.average(margin, weights=w))
    scale = float(np.sqrt(np.average((margin - center) ** 2, weights=w))) or 1.0
    z = (margin - center) / scale
    knots = _knots(z, y, w)
    design = _spline(z, knots)
    q = design.shape[1] - 1
    problem = Problem("binary", design[:, 1:], y, w, [(None, None)] * q, np.zeros(q))
    coefficients = problem.solve(_RIDGE)
    p = expit(design @ coefficients)
    bread = np.linalg.inv(
        (design * (w * p * (1.0 - p))[:, None]).T @ design + _RIDGE * np.eye(design.shape[1])
    )
    scores = design * (w * (y - p))[:, None]
    if groups is not None:
        owner = np.unique(groups, return_inverse=True)[1]
        scores = np.column_stack([np.bincount(owner, weights=column) for column in scores.T])
    return Band(knots, center, scale, coefficients, bread @ (scores.T @ scores) @ bread)


def _knots(z: Floats, y: Floats, w: Floats) -> Floats:
    """Return knots where both classes have rows, or none when one is too rare."""
    rare = min(float(w[y > 0].sum()), float(w[y == 0].sum()))
    if rare < _MIN_RARE_PER_KNOT * len(_KNOT_RANKS):
        return np.empty(0)
    balance = w * np.where(y > 0, 0.5 / w[y > 0].sum(), 0.5 / w[y == 0].sum())
    knots = np.unique(weighted_quantiles(z, balance, 101)[[round(100 * r) for r in _KNOT_RANKS]])
    return knots if len(knots) >= 3 else np.empty(0)


def _spline(z: Floats, knots: Floats) -> Floats:
    """Return intercept, line and the natural cubic bends of `knots`."""
    parts = [np.ones_like(z), z]
    if len(knots) >= 3:
        last, before = knots[-1], knots[-2]

        def bend(knot: float) -> Floats:
            cubic = np.maximum(z - knot, 0.0) ** 3 - np.maximum(z - last, 0.0) ** 3
            return np.asarray(cubic / (last - knot))

        parts += [bend(float(knot)) - bend(float(before)) for knot in knots[:-2]]
    return np.column_stack(parts)


@dataclass(frozen=True)
class CountInterval:
    """Interval of a count given its expected value.

    Parameters
    ----------
    dispersion : float
        Variance is mean + dispersion * mean squared.
    levels : array of shape (n_bins, 1001)
        Quantiles of the central level that would just have covered each held-out count, in bins
        of the expected count: zeros are covered at any level, and must not lower the level of
        dealers with something to count.
    """

    dispersion: float
    levels: Floats

    def interval(self, mean: Floats, coverage: float) -> tuple[Floats, Floats]:
        """Return lower and upper count."""
        grid = np.linspace(0.0, 1.0, self.levels.shape[1])
        of_bin = np.array([np.interp(coverage, grid, levels) for levels in self.levels])
        # A level stands exactly where a count begins: rounding must not leave that count out.
        level = np.minimum(of_bin[np.digitize(mean, _COUNT_BINS)] + 1e-9, 1 - 2e-9)
        lower, upper = 0.5 - level / 2.0, 0.5 + level / 2.0
        law = _law(mean, self.dispersion)
        return np.maximum(law.ppf(lower), 0.0), np.maximum(law.ppf(upper), 0.0)

    def state(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"dispersion": self.dispersion, "levels": self.levels.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CountInterval:
        """Rebuild it from `state`."""
        return cls(float(state["dispersion"]), np.asarray(state["levels"], dtype=np.float64))


def _law(mean: Floats, dispersion: float) -> Any:
    if dispersion <= 1e-6:
        return poisson(mean)
    size = 1.0 / dispersion
    return nbinom(size, size / (size + mean))


def fit_count_interval(mean: Floats, y: Floats, w: Floats) -> CountInterval:
    """Fit the dispersion by moments and the level by held-out coverage.

    Parameters
    ----------
    mean, y, w : array of shape (n,)
        Held-out expected count, observed count, weight.
    """
    excess = float(np.average((y - mean) ** 2 - mean, weights=w))
    dispersion = float(np.clip(excess / max(float(np.average(mean**2, weights=w)), 1e-12), 0, 50))
    law = _law(mean, dispersion)
    needed = np.maximum(1.0 - 2.0 * law.cdf(y), 2.0 * law.cdf(y - 1.0) - 1.0)
    needed = np.clip(needed, 0.0, 1.0)
    place = np.digitize(mean, _COUNT_BINS)
    nominal = np.linspace(0.0, 1.0, _N_LEVELS)
    levels = [
        weighted_quantiles(needed[place == b], w[place == b], _N_LEVELS)
        if np.count_nonzero(place == b) >= _MIN_COUNT_BIN
        else nominal
        for b in range(len(_COUNT_BINS) + 1)
    ]
    return CountInterval(dispersion, np.stack(levels))
