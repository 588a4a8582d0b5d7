"""Simple rules that always run beside a model: if it cannot beat them, it is not needed.

A rule is written in the recipe as a signed sum of signals, ``"+traces_n_3y"`` or
``"-license_chain_size"``: dealers with more of it come first. ``+losses_reports_1y>=2`` counts one
point from that value on. One whose signal is missing comes last, or first when the name ends in
``?``. A signal that the data lack, or that says the same of every dealer, counts zero. The logistic
regression on log-transformed signals is the one rule that learns; it is fitted on the same rows as
the model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from copy import copy
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.errors import did_you_mean
from training.errors import RecipeError

_TERM: Final = re.compile(r"([+-])\s*([a-z][a-z0-9_]*)(\?)?(?:>=([0-9.]+))?")
RANDOM: Final = "random"
LOGISTIC: Final = "logistic"
REGULARIZATION: Final = 0.1
# A column whose deviation is a smaller share of its mean is constant but for rounding.
_LEAST_SPREAD: Final = 1e-9


def rule_signals(text: str) -> tuple[str, ...]:
    """Return the names of the signals a rule adds up.

    Raises
    ------
    RecipeError
        When it cannot be read.

    Examples
    --------
    >>> rule_signals("+traces_n_3y>=10 -license_chain_size")
    ('traces_n_3y', 'license_chain_size')
    """
    terms = _TERM.findall(text)
    if not terms or _TERM.sub("", text).strip():
        raise RecipeError(
            f"The rule {text!r} cannot be read.",
            expected="signs and signals, for example '+traces_n_3y -license_chain_size'",
        )
    return tuple(name for _, name, _, _ in terms)


def apply_rule(text: str, X: pd.DataFrame, *, absent: Collection[str] = ()) -> Floats:
    """Score rows by a signed sum of signals.

    Parameters
    ----------
    text : str
    X : DataFrame of shape (n, p)
    absent : collection of str
        Signals that exist and that this table lacks; they count zero.

    Examples
    --------
    >>> X = pd.DataFrame({"a": [1.0, 3.0], "b": [5.0, 1.0]})
    >>> apply_rule("+a -b", X).tolist()
    [-4.0, 2.0]
    """
    rule_signals(text)
    score = np.zeros(len(X))
    for sign, name, is_missing_first, floor in _TERM.findall(text):
        if name in absent and name not in X.columns:
            continue
        if name not in X.columns:
            raise RecipeError(
                f"The rule {text!r} names no signal{did_you_mean(name, X.columns)}", found=name
            )
        value = X[name].to_numpy(dtype=np.float64)
        if floor:
            value = (value >= float(floor)).astype(np.float64)
        signed = value if sign == "+" else -value
        score += _fill(signed, highest=bool(is_missing_first))
    return score


def _fill(value: Floats, *, highest: bool) -> Floats:
    """Put missing values one beyond the highest value, or one below the lowest."""
    is_missing = np.isnan(value)
    if is_missing.all():
        return np.zeros(len(value))
    edge = np.nanmax(value) + 1.0 if highest else np.nanmin(value) - 1.0
    return np.where(is_missing, edge, value)


class LogLogistic:
    """Logistic regression on log-transformed, standardized signals; missing values at the median.

    Parameters
    ----------
    strength : float
        Inverse of the L2 penalty, as in scikit-learn.

    Attributes
    ----------
    coefficient : array of shape (p,)
        Log-odds per standard deviation of each log-transformed signal.
    intercept : float
    """

    coefficient: Floats
    intercept: float

    def __init__(self, *, strength: float = REGULARIZATION) -> None:
        self.strength = strength

    def fit(self, X: pd.DataFrame, y: Floats, sample_weight: Floats | None = None) -> LogLogistic:
        """Fit on rows of signals; `y` above zero counts as positive."""
        (fitted,) = self.path(X, y, (self.strength,), sample_weight=sample_weight)
        vars(self).update(vars(fitted))
        return self

    @classmethod
    def path(
        cls,
        X: pd.DataFrame,
        y: Floats,
        strengths: Sequence[float],
        *,
        sample_weight: Floats | None = None,
    ) -> list[LogLogistic]:
        """Fit one for each strength; rows are read once, and each starts where the last ended."""
        from models.linear import Problem
        from models.margin.threads import go_on

        read = cls()
        rows = np.asfortranarray(read._read(_signed_log(X)))
        weight = np.ones(len(rows)) if sample_weight is None else sample_weight
        free: list[tuple[float | None, float | None]] = [(None, None)] * rows.shape[1]
        y = (np.asarray(y) > 0).astype(np.float64)
        problem = Problem("binary", rows, y, weight, free, np.zeros(rows.shape[1]))
        fitted, start = [], None
        for strength in strengths:
            go_on()
            each = copy(read)
            each.strength = strength
            start = problem.solve(1.0 / strength, start)
            each.coefficient, each.intercept = start[1:].copy(), float(start[0])
            fitted.append(each)
        return fitted

    def _read(self, raw: Floats) -> Floats:
        """Learn how signals are filled and standardized, and return them so."""
        is_absent = np.isnan(raw)
        self._median = np.zeros(raw.shape[1])
        is_told = ~is_absent.all(axis=0)
        self._median[is_told] = np.nanmedian(raw[:, is_told], axis=0)
        filled = np.where(is_absent, self._median, raw)
        self._mean, deviation = filled.mean(axis=0), filled.std(axis=0)
        self._scale = spread_or_one(self._mean, deviation)
        filled -= self._mean
        filled /= self._scale
        return filled

    def log_odds(self, X: pd.DataFrame) -> Floats:
        """Log-odds of each row, shape (n,)."""
        return np.asarray(self.standardized(X) @ self.coefficient + self.intercept)

    def standardized(self, X: pd.DataFrame) -> Floats:
        """Rows as the regression reads them, shape (n, p)."""
        raw = _signed_log(X)
        filled = np.where(np.isnan(raw), self._median, raw)
        return np.asarray((filled - self._mean) / self._scale, dtype=np.float64)


def spread_or_one(mean: Floats, deviation: Floats) -> Floats:
    """Return what to divide by: the deviation, or one where a column is the same in all rows.

    The deviation of equal values need not be zero to the last bit; divided by what is left, a row
    that has another value would be millions of deviations away.

    Examples
    --------
    >>> spread_or_one(np.array([0.1, 0.1]), np.array([1e-17, 2.0])).tolist()
    [1.0, 2.0]
    """
    is_constant = deviation <= _LEAST_SPREAD * np.maximum(1.0, np.abs(mean))
    return np.where(is_constant, 1.0, deviation)


def _signed_log(X: pd.DataFrame) -> Floats:
    values = X.to_numpy(dtype=np.float64)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), dtype=np.float64)
