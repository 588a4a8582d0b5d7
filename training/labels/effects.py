"""Effects of who looked, on the log-odds: many at once, each shrunk as far as the groups differ.

References
----------
Breslow and Clayton (1993), approximate inference in generalized linear mixed models; MacKay (1992)
for the update of the variances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit

from features.arrays import Floats, Ints

_MAX_STEPS: Final = 60
_TOLERANCE: Final = 1e-3
_FIRST_VARIANCE: Final = 0.1
_LEAST_VARIANCE: Final = 1e-4
# Beyond an odds ratio of e^3 between like visits an effect is a handful of rows that are all alike.
_MOST: Final = 3.0
# No visit stands for more or less than so many because of who made it.
_RATIOS: Final = (0.2, 5.0)


@dataclass(frozen=True)
class Effects:
    """Effects of the groups of one column, in log-odds, zero being the mean over dealers.

    Parameters
    ----------
    column : str
        What is compared: ``office``, ``investigator`` or ``division``.
    value, error : Series
        Shrunken effect and its standard error, by group.
    visits : Series
        Visits, by group.
    spread : float
        Standard deviation between groups.
    """

    column: str
    value: pd.Series
    error: pd.Series
    visits: pd.Series
    spread: float

    def of(self, groups: pd.Series) -> Floats:
        """Effect on each row; zero for a group not seen, or none, shape (n,)."""
        return groups.map(self.value).fillna(0.0).to_numpy(dtype=np.float64)


def fit_effects(
    margin: Floats,
    y: Floats,
    weight: Floats,
    groups: pd.DataFrame,
    *,
    fixed: Mapping[str, float] | None = None,
    standing: Floats | None = None,
) -> tuple[Effects, ...]:
    """Fit the effects of groups beside a margin, on findings and non-findings alike.

    Parameters
    ----------
    margin : array of shape (n,)
        Log-odds of each row from a model that saw no row of its office.
    y, weight : array of shape (n,)
        Finding or not, and weight; weights are scaled to a mean of one.
    groups : DataFrame of shape (n, k)
        Group of each row in each column; empty where there is none. A column of fewer than two
        groups has no effects.
    fixed : mapping of str to float, optional
        Standard deviation of a column's effects where it is given and not fitted.
    standing : array of shape (n,), optional
        How many dealers each row stands for in the mean at which effects are zero; rows alike by
        default. A mean over groups would count an office of ten dealers like one of a thousand.

    Returns
    -------
    tuple of Effects
        One for each column with at least two groups.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> office = pd.Series(np.repeat(["mild", "strict"], 2000))
    >>> y = (rng.random(4000) < np.where(office == "mild", 0.1, 0.2)).astype(float)
    >>> (found,) = fit_effects(np.zeros(4000), y, np.ones(4000), office.to_frame("office"))
    >>> bool(0.5 < found.value["strict"] - found.value["mild"] < 1.0)
    True
    """
    coded = {str(c): _codes(groups[c]) for c in groups}
    columns = {c: (codes, names) for c, (codes, names) in coded.items() if len(names) > 1}
    if not columns or not len(y):
        return ()
    sizes = [len(names) for _, names in columns.values()]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places = [
        np.where(codes >= 0, codes + start, -1)
        for (codes, _), start in zip(columns.values(), starts, strict=False)
    ]
    given = [None if fixed is None else fixed.get(c) for c in columns]
    w = weight / weight.mean()
    theta, covariance, variances = _solve((margin, y, w), places, sizes, given)
    alike = np.ones(len(y)) if standing is None else standing
    out = []
    for i, (column, (codes, names)) in enumerate(columns.items()):
        own = slice(int(starts[i]), int(starts[i + 1]))
        value = np.clip(theta[own], -_MOST, _MOST)
        mass = np.bincount(codes[codes >= 0], weights=alike[codes >= 0], minlength=len(names))
        out.append(
            Effects(
                column,
                pd.Series(value - float(mass @ value) / max(float(mass.sum()), 1e-12), names),
                pd.Series(np.sqrt(np.diag(covariance)[own]), names),
                pd.Series(np.bincount(codes[codes >= 0], minlength=len(names)), names),
                float(np.sqrt(variances[i])),
            )
        )
    return tuple(out)


def _codes(groups: pd.Series) -> tuple[Ints, pd.Index]:
    named = groups.astype("object").where(groups.fillna("").astype(str) != "")
    codes, names = pd.factorize(named, sort=True)
    return codes.astype(np.int64), pd.Index(names.astype(str))


def _solve(
    rows: tuple[Floats, Floats, Floats],
    places: list[Ints],
    sizes: list[int],
    given: list[float | None],
) -> tuple[Floats, Floats, list[float]]:
    """Newton's steps for the effects and the intercept, in turn with the variances."""
    margin, y, w = rows
    q = sum(sizes)
    theta = np.zeros(q + 1)  # the last one is the intercept, in no group
    everywhere = [*places, np.full(len(y), q)]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    variances = [_FIRST_VARIANCE if s is None else s**2 for s in given]
    covariance: Floats = np.eye(q + 1)
    for _ in range(_MAX_STEPS):
        eta = margin + sum(np.append(theta, 0.0)[place] for place in everywhere)
        p = expit(eta)
        curve, error = w * p * (1.0 - p), w * (y - p)
        information: Floats = np.zeros((q + 1, q + 1))
        slope = np.zeros(q + 1)
        for a in everywhere:
            is_a = a >= 0
            slope += np.bincount(a[is_a], weights=error[is_a], minlength=q + 1)
            for b in everywhere:
                both = is_a & (b >= 0)
                cell = a[both] * (q + 1) + b[both]
                added = np.bincount(cell, weights=curve[both], minlength=(q + 1) ** 2)
                information = information + added.reshape(q + 1, q + 1)
        prior = np.append(1.0 / np.array(variances)[owner], 1e-6)
        information[np.diag_indices(q + 1)] += prior
        covariance = np.asarray(np.linalg.inv(information))
        step = covariance @ (slope - prior * theta)
        theta += np.clip(step, -1.0, 1.0)
        known = np.diag(covariance)[:q]
        before = list(variances)
        for i, fixed in enumerate(given):
            if fixed is None:
                own = owner == i
                # Groups as well known as all of them, less what the prior alone would say.
                told = max(float((1.0 - known[own] / variances[i]).sum()), 1e-3)
                variances[i] = max(float(theta[:q][own] @ theta[:q][own]) / told, _LEAST_VARIANCE)
        moved = max(abs(np.sqrt(a) - np.sqrt(b)) for a, b in zip(variances, before, strict=True))
        if moved < _TOLERANCE and float(np.abs(step).max()) < _TOLERANCE:
            break
    return theta[:q], covariance[:q, :q], variances


def at_average(y: Floats, risk: Floats, offset: Floats) -> Floats:
    """Weight of each finding or non-finding so that they stand for an average inspector's.

    An order that goes by who is strict finds more among the findings of the strict; judged so, it
    would pass for the better one.

    Parameters
    ----------
    y : array of shape (n,)
        Finding or not.
    risk, offset : array of shape (n,)
        Log-odds at average strictness, and what who looked added.

    Examples
    --------
    >>> at_average(np.array([1.0, 0.0]), np.zeros(2), np.array([1.0, 0.0])).round(2).tolist()
    [0.68, 1.0]
    """
    mean, seen = expit(risk), expit(risk + offset)
    ratio = np.where(y > 0, mean / seen, (1.0 - mean) / (1.0 - seen))
    return np.asarray(np.clip(ratio, *_RATIOS), dtype=np.float64)
