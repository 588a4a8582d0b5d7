"""How well a score ranks findings, with intervals that need no resampling.

Indicators are many, and each is assessed in all, on the random share, by year and by division;
a bootstrap of each would take hours. A weighted AUC and a lift are smooth functions of row
weights, so their variance follows from each dealer's influence on them, summed by dealer.

References
----------
DeLong, DeLong and Clarke-Pearson (1988), for unweighted, independent rows; Demnati and Rao (2004),
linearization of weighted estimators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from training.evaluation.baselines import LogLogistic
from training.evaluation.head_evaluation import list_membership
from training.evaluation.metrics import LEVEL, Interval, Ranking

_MAX_STEPS: Final = 30
_TOLERANCE: Final = 1e-3
_Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True)
class Estimate:
    """A number and how much each row moves it.

    Parameters
    ----------
    value : float
    influence : array of shape (n,)
        Change of the value per unit of a row's relative weight; sums to zero.
    beyond : float, optional
        The other bound of a value at the end of what it can be, where no row has an influence.
    """

    value: float
    influence: Floats
    beyond: float = float("nan")

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.influence - other.influence)

    def error(self, clusters: npt.NDArray[Any]) -> float:
        """Return the standard error, rows of a cluster moving together.

        Parameters
        ----------
        clusters : array of shape (n,)
            Codes from zero.
        """
        sums = np.bincount(clusters, weights=self.influence)
        n = len(np.unique(clusters))
        return float(np.sqrt((sums**2).sum() * n / max(n - 1, 1)))

    def interval(self, clusters: npt.NDArray[Any]) -> Interval:
        """Return the value with symmetric bounds, as for a difference."""
        reach = _Z * self.error(clusters)
        return Interval(self.value, self.value - reach, self.value + reach)

    def share_interval(self, clusters: npt.NDArray[Any]) -> Interval:
        """Return the value with bounds within 0 and 1, as for an AUC; symmetric in log-odds."""
        p = self.value
        if not 0 < p < 1:
            return self._at_end()
        middle, reach = np.log(p / (1 - p)), _Z * self.error(clusters) / (p * (1 - p))
        low, high = (1 / (1 + np.exp(-(middle + d))) for d in (-reach, reach))
        return Interval(p, float(low), float(high))

    def ratio_interval(self, clusters: npt.NDArray[Any]) -> Interval:
        """Return the value with bounds above 0, as for a lift; symmetric in logs."""
        if self.value <= 0:
            return self._at_end()
        reach = _Z * self.error(clusters) / self.value
        return Interval(
            self.value, self.value * float(np.exp(-reach)), self.value * float(np.exp(reach))
        )

    def _at_end(self) -> Interval:
        ends = sorted((self.value, self.beyond))
        return Interval(self.value, *ends)


def _may_be(weight: Floats) -> float:
    """Return the share of rows like these that may be otherwise when none of them is.

    Exact (Clopper and Pearson), at the number of equal rows that they are worth.
    """
    total = float(weight.sum())
    worth = total**2 / max(float(weight @ weight), 1e-300)
    return 1.0 - float(((1.0 - LEVEL) / 2.0) ** (1.0 / max(worth, 1.0)))


def auc(
    score: Floats, y: Floats, weight: Floats, *, within: npt.ArrayLike | None = None
) -> Estimate:
    """Probability that a finding ranks above a clean row of its list, ties counting half.

    Parameters
    ----------
    score, y, weight : array of shape (n,)
        Any finite order, 0 or 1, and row weights; rows without weight do not count.
    within : array of shape (n,), optional
        The list of each row (its day); one list unless given.

    Examples
    --------
    >>> auc(np.array([3.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0]), np.ones(3)).value
    0.5
    """
    order = Ranking(score, within)
    at = np.zeros(len(score), dtype=np.int64)
    at[order.starts[1:]] = 1
    codes = np.empty_like(at)
    codes[order.order] = np.cumsum(at)
    positive, negative = weight * y, weight * (1.0 - y)
    by_group_p, by_group_n = (np.bincount(codes, weights=v) for v in (positive, negative))
    own_p, own_n = np.empty(len(by_group_p)), np.empty(len(by_group_n))
    below, above = np.empty(len(by_group_p)), np.empty(len(by_group_n))
    pairs = 0.0
    for one in order.groups:
        p, n = by_group_p[one], by_group_n[one]
        own_p[one], own_n[one] = p.sum(), n.sum()
        below[one] = n.sum() - np.cumsum(n) + 0.5 * n
        above[one] = np.cumsum(p) - 0.5 * p
        pairs += float(p.sum() * n.sum())
    if pairs <= 0:
        return Estimate(float("nan"), np.zeros(len(score)))
    value = float(by_group_p @ below) / pairs
    influence = positive * (below - value * own_n)[codes] / pairs
    influence += negative * (above - value * own_p)[codes] / pairs
    few = positive if np.count_nonzero(positive) <= np.count_nonzero(negative) else negative
    return Estimate(value, influence, abs(value - _may_be(few)))


def lift(
    score: Floats,
    y: Floats,
    weight: Floats,
    *,
    share: float,
    within: npt.ArrayLike | None = None,
) -> Estimate:
    """Rate of findings in the first `share` of each list over the rate among all.

    The list is given.

    Examples
    --------
    >>> y = np.array([1.0, 0.0, 0.0, 0.0])
    >>> lift(np.array([4.0, 3.0, 2.0, 1.0]), y, np.ones(4), share=0.25).value
    4.0
    """
    listed = weight * list_membership(score, share, within=within, weight=weight)
    parts = (listed * y, listed, weight * y, weight)
    sums = [float(part.sum()) for part in parts]
    if min(sums[1:]) <= 0:
        return Estimate(float("nan"), np.zeros(len(score)))
    value = (sums[0] / sums[1]) / (sums[2] / sums[3])
    if sums[0] <= 0:
        return Estimate(0.0, np.zeros(len(score)), _may_be(weight * y) * sums[3] / sums[1])
    relative = sum(
        sign * part / total for sign, part, total in zip((1, -1, -1, 1), parts, sums, strict=True)
    )
    return Estimate(value, value * np.asarray(relative, dtype=np.float64))


def held_out_without(
    X: pd.DataFrame,
    y: Floats,
    weight: Floats,
    *,
    folds: npt.NDArray[np.int64],
    blocks: Mapping[str, Sequence[int]],
) -> tuple[Floats, dict[str, Floats]]:
    """Score held-out rows by a logistic regression on everything, and on all but each block.

    A fit without some signals starts from the fit with them and moves by its curvature, so that
    two hundred fits take seconds.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    folds : array of shape (n,)
        Rows of a fold are scored by a fit on the other folds.
    blocks : mapping of str to sequence of int
        Positions of the columns to leave out, by name.

    Returns
    -------
    everything : array of shape (n,)
        Log-odds.
    without : dict of str to array of shape (n,)
    """
    everything = np.zeros(len(y))
    without = {name: np.zeros(len(y)) for name in blocks}
    for fold in np.unique(folds):
        is_out = folds == fold
        model = LogLogistic().fit(X[~is_out], y[~is_out], sample_weight=weight[~is_out])
        fit = _Fit.of(model, X[~is_out], y[~is_out], weight[~is_out])
        outside = _with_one(model.standardized(X[is_out]))
        everything[is_out] = outside @ fit.beta
        for name, columns in blocks.items():
            without[name][is_out] = outside @ fit.without(columns)
    return everything, without


@dataclass(frozen=True)
class _Fit:
    """A penalized logistic regression at its optimum; the intercept is the last coefficient."""

    Z: Floats
    y: Floats
    weight: Floats
    penalty: Floats
    beta: Floats
    inverse: Floats

    @classmethod
    def of(cls, model: LogLogistic, X: pd.DataFrame, y: Floats, weight: Floats) -> _Fit:
        Z = _with_one(model.standardized(X))
        # scikit-learn scales the loss, not the penalty, by the strength.
        w = weight * model.strength
        penalty = np.append(np.ones(Z.shape[1] - 1), 0.0)
        beta = np.append(model.coefficient, model.intercept)
        p = 1.0 / (1.0 + np.exp(-(Z @ beta)))
        curvature = (Z.T * (w * p * (1.0 - p))) @ Z + np.diag(penalty)
        return cls(Z, y, w, penalty, beta, np.linalg.inv(curvature))

    def loss(self, beta: Floats) -> float:
        margin = self.Z @ beta
        each = np.logaddexp(0.0, margin) - self.y * margin
        return float(self.weight @ each + 0.5 * (self.penalty * beta) @ beta)

    def without(self, columns: Sequence[int]) -> Floats:
        """Coefficients of the optimum with some of them held at zero."""
        own = list(columns)
        solve = self.inverse[:, own] @ np.linalg.inv(self.inverse[np.ix_(own, own)])
        beta = self.beta - solve @ self.beta[own]
        loss, size = self.loss(beta), 1.0
        for _ in range(_MAX_STEPS):
            p = 1.0 / (1.0 + np.exp(-(self.Z @ beta)))
            gradient = self.Z.T @ (self.weight * (p - self.y)) + self.penalty * beta
            gradient[own] = 0.0
            step = self.inverse @ gradient
            step -= solve @ step[own]
            moved = beta - size * step
            moved_loss = self.loss(moved)
            if moved_loss > loss:
                size *= 0.5
            else:
                beta, loss = moved, moved_loss
            if np.abs(step).max() < _TOLERANCE:
                break
        beta[own] = 0.0
        return np.asarray(beta, dtype=np.float64)


def _with_one(Z: Floats) -> Floats:
    return np.column_stack([Z, np.ones(len(Z))])
