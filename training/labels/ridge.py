"""A plain regression of findings on signals, read once and solved as often as it is asked.

Strictness and recency ask it again and again beside other known log-odds or other weights; what
takes time is reading the rows, not solving.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Flags, Floats
from models.linear import Problem
from training.evaluation.baselines import spread_or_one

# The penalty of a logistic regression that does well on some thousand labels (C = .003).
PENALTY: Final = 333.0


@dataclass(frozen=True)
class Ridge:
    """A logistic regression with a strong penalty, on signed logs of some columns."""

    columns: tuple[str, ...]
    middle: Floats
    mean: Floats
    scale: Floats
    theta: Floats

    def margin(self, X: pd.DataFrame) -> Floats:
        """Log-odds of rows, shape (n,)."""
        return np.asarray(self.theta[0] + self.features(X) @ self.theta[1:], dtype=np.float64)

    def features(self, X: pd.DataFrame) -> Floats:
        """Standardized signed logs, missing values at the middle, shape (n, p)."""
        raw = _signed_log(X[list(self.columns)])
        return np.clip((np.where(np.isnan(raw), self.middle, raw) - self.mean) / self.scale, -6, 6)


def _signed_log(X: pd.DataFrame) -> Floats:
    values = X.to_numpy(dtype=np.float64)
    return np.asarray(np.copysign(np.log1p(np.abs(values)), values), dtype=np.float64)


def posed(X: pd.DataFrame, y: Floats, weight: Floats) -> tuple[Ridge, Problem]:
    """Read the rows of a regression once, however often it is solved.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    y, weight : array of shape (n,)
    """
    raw = _signed_log(X)
    middle = np.nan_to_num(pd.DataFrame(raw).median().to_numpy(dtype=np.float64))
    filled = np.where(np.isnan(raw), middle, raw)
    mean, deviation = filled.mean(axis=0), filled.std(axis=0)
    empty = Ridge(tuple(X.columns), middle, mean, spread_or_one(mean, deviation), np.zeros(1))
    q = len(mean)
    features = np.asfortranarray(empty.features(X))
    free: list[tuple[float | None, float | None]] = [(None, None)] * q
    return empty, Problem("binary", features, y, weight / weight.mean(), free, np.zeros(q))


@dataclass
class Part:
    """The regression of all rows but some, and the features of those left out.

    Parameters
    ----------
    is_out : array of bool, shape (n,)
        Rows that are left out.
    ridge : Ridge
        How columns are read.
    problem : Problem
        Of the rows that are not out.
    features_out : array of shape (n_out, q)
    start : array, optional
        Where the last solution ended.
    """

    is_out: Flags
    ridge: Ridge
    problem: Problem
    features_out: Floats
    start: Floats | None = None

    @classmethod
    def of(
        cls, X: pd.DataFrame, own: tuple[str, ...], labels: tuple[Floats, Floats], is_out: Flags
    ) -> Part:
        """Read the columns `own` of the rows once."""
        y, weight = (values[~is_out] for values in labels)
        ridge, problem = posed(X.loc[~is_out, list(own)], y, weight)
        return cls(is_out, ridge, problem, ridge.features(X[is_out]))

    def solve(self, offset: Floats) -> tuple[Ridge, Floats]:
        """Return it beside the known log-odds of all rows, and what it says of those left out."""
        beside = replace(self.problem, offset=offset[~self.is_out])
        self.start = theta = beside.solve(PENALTY, self.start)
        return replace(self.ridge, theta=theta), theta[0] + self.features_out @ theta[1:]
