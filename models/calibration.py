"""Intervals for probabilities and counts.

**Probability**: the interval says where the dealer's own probability lies, as far as the columns
can tell it. The members of the ensemble left out different rows, so their differences say by how
much the margin would differ between samples (the jackknife); a model that is shrunk as far as the
held-out rows ask for is off by about as much again through shrinking. The standard error is that
of the members, by margin, times a factor that was set on invented worlds whose probabilities are
known, and is held to them by test. Over ten such worlds 90% intervals held the truth in 83 to 94%
of the rows: least where thousands of positives would show an effect that the model still misses.
To the members' differences is added what the held-out rows leave open of level and slope, which
members share (`models.margin.level.told_by`): with few findings that is most of the error.
What no column tells, such as a dealer's luck, is not in it.

**Count**: the interval says where the dealer's own count falls, at the stated coverage or more
(counts are whole numbers, so an interval can seldom cover exactly). It is a negative-binomial
interval whose level is set so that the held-out counts of dealers with a like expected count are
covered (cross-conformal, in bins).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy.special import expit
from scipy.stats import nbinom, norm, poisson

from features.arrays import Floats
from models.linear import weighted_quantiles
from models.margin.level import Level
from models.stable_json import State

# Error of a shrunken margin over that of its members alone, for many rows of the rarer class, and
# how many more of them double it. Set on invented worlds; see
# tests/test_models/fitting/test_coverage.py.
_SHRINKING: Final = 1.35
_FEW_RARE: Final = 12.0
# Between these shares of the rows, in order of their margin, the variance is averaged.
_SPREAD_SHARES: Final = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.96, 1.0)
_LEAST_ERROR: Final = 1e-3
# Either side of an interval is at least so much of half its width: what few findings leave unsure
# is shrunk, and then the truth of who is listed lies above what is served, not below. Set on
# invented worlds; see tests/test_models/fitting/test_few_findings.py.
_LEAST_SIDE: Final = 0.5
# Bounds of the expected count between the bins, and the rows below which a bin is not fitted.
_COUNT_BINS: Final = (0.1, 1.0, 10.0)
_MIN_COUNT_BIN: Final = 100
_POISSON: Final = 1e-6  # a smaller dispersion is none
_N_LEVELS: Final = 1001


@dataclass(frozen=True)
class Spread:
    """Standard error of the log-odds as a function of the log-odds.

    Parameters
    ----------
    margins : array of shape (k,)
        Ascending.
    errors : array of shape (k,)
    """

    margins: Floats
    errors: Floats

    def interval(self, margin: Floats, coverage: float) -> tuple[Floats, Floats]:
        """Return lower and upper probability, with the served probability between them."""
        error = np.interp(margin, self.margins, self.errors)
        served = expit(margin)
        # The served probability is a mean: half of the log-odds that average to it lie lower.
        middle = margin - 0.5 * error**2 * (1.0 - 2.0 * served)
        half = float(norm.ppf(0.5 + coverage / 2.0)) * error
        least = _LEAST_SIDE * half
        return (
            expit(np.minimum(middle - half, margin - least)),
            expit(np.maximum(middle + half, margin + least)),
        )

    def at(self, level: Level) -> Spread:
        """Return it for the margin at another level, less sure by how sure the level is."""
        design = np.column_stack([np.ones_like(self.margins), self.margins])
        unsure = np.einsum("ij,jk,ik->i", design, level.covariance, design)
        return Spread(level.of(self.margins), np.sqrt((level.slope * self.errors) ** 2 + unsure))

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return {"margins": self.margins.tolist(), "errors": self.errors.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Spread:
        """Rebuild it from `state`, or from the band that earlier versions kept."""
        if "covariance" in state:
            return cls(*_of_band(state))
        return cls(
            np.asarray(state["margins"], dtype=np.float64),
            np.asarray(state["errors"], dtype=np.float64),
        )


def _of_band(state: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Return margins and standard errors of a band: a line with natural cubic bends."""
    knots = np.asarray(state["knots"], dtype=np.float64)
    z = np.linspace(-6.0, 6.0, 121)
    parts = [np.ones_like(z), z]
    if len(knots):

        def bend(knot: float) -> Floats:
            cubic = np.maximum(z - knot, 0.0) ** 3 - np.maximum(z - knots[-1], 0.0) ** 3
            return np.asarray(cubic / (knots[-1] - knot))

        parts += [bend(float(knot)) - bend(float(knots[-2])) for knot in knots[:-2]]
    design = np.column_stack(parts)
    covariance = np.asarray(state["covariance"], dtype=np.float64)
    errors = np.sqrt(np.einsum("ij,jk,ik->i", design, covariance, design))
    return float(state["center"]) + float(state["scale"]) * z, errors


def fit_spread(margin: Floats, variance: Floats, n_rare: int) -> Spread:
    """Smooth the variance of rows' margins over the margin.

    Parameters
    ----------
    margin, variance : array of shape (n,)
        Margin of rows, and its variance between samples.
    n_rare : int
        Rows of the rarer class: with few of them the variance itself is unsure.
    """
    order = np.argsort(margin, kind="stable")
    ends = np.unique(np.round(np.array(_SPREAD_SHARES) * len(order)).astype(np.int64))
    parts = [order[low:high] for low, high in pairwise(ends)]
    factor = _SHRINKING * (1.0 + _FEW_RARE / n_rare)
    errors = [factor * np.sqrt(float(variance[part].mean())) for part in parts]
    margins = [float(margin[part].mean()) for part in parts]
    return Spread(np.array(margins), np.maximum(errors, _LEAST_ERROR))


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
        low, high = _quantiles(np.stack([lower, upper]), mean, self.dispersion)
        # Nearly all of the smallest expected counts are zero: the count expected is still inside.
        return (
            np.minimum(np.maximum(low, 0.0), np.floor(mean)),
            np.maximum(high, np.ceil(mean)),
        )

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return {"dispersion": self.dispersion, "levels": self.levels.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CountInterval:
        """Rebuild it from `state`."""
        return cls(float(state["dispersion"]), np.asarray(state["levels"], dtype=np.float64))


def _law(mean: Floats, dispersion: float) -> Any:
    if dispersion <= _POISSON:
        return poisson(mean)
    size = 1.0 / dispersion
    return nbinom(size, size / (size + mean))


def _quantiles(levels: Floats, mean: Floats, dispersion: float) -> Floats:
    """Return the counts at some levels of the law, without the cost of freezing it."""
    if dispersion <= _POISSON:
        return np.asarray(poisson.ppf(levels, mean))
    size = 1.0 / dispersion
    return np.asarray(nbinom.ppf(levels, size, size / (size + mean)))


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
