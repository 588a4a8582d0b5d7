"""Codes beyond one column's levels: pairs of columns, and numbers that are really names.

A facility's visits of one year, or a license number, may say more than facility and year apart, or
than the number's size. Each candidate is judged on held-out rows against what its parts expect,
and only those that earn their place are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd

from features.arrays import Floats, Ints
from models.columns.categories import Target
from models.columns.encoding import Column, kind_of, numbers
from models.columns.levels import Levels, read_levels
from models.linear import Problem

# A number of at most so many values may be half of a pair; one of more may be an identity.
_MAX_VALUES: Final = 60
_MAX_HALVES: Final = 12
_MAX_KEPT: Final = 6
_N_BINS: Final = 32
# Log-likelihood on held-out rows that must be added to the parts'.
_MIN_GAIN: Final = 6.0


@dataclass(frozen=True)
class _Part:
    """A column by its levels, and what its levels add with each fold left out."""

    name: str
    levels: Levels
    pull: float
    loss: float

    def offsets(self, target: Target, folds: Ints) -> Floats:
        """Return what it adds to every row with each fold left out, shape (n_folds, n)."""
        return target.added(target.sums(self.levels, folds), self.pull)[:, self.levels.codes]


@dataclass(frozen=True)
class _Extra:
    """Levels that say more than what they are made of.

    Parameters
    ----------
    gain : float
        Log-likelihood of held-out rows, over that of the parts.
    parts : tuple of _Part
    levels : Levels
    theta : array of shape (n_parts + 1,)
        Intercept and weights of the parts.
    pull : float
    """

    gain: float
    parts: tuple[_Part, ...]
    levels: Levels
    theta: Floats
    pull: float

    def offsets(self, target: Target, folds: Ints) -> Floats:
        """Return what the parts expect of every row with each fold left out, (n_folds, n)."""
        weighted = zip(self.theta[1:], self.parts, strict=True)
        return np.asarray(
            self.theta[0] + sum(weight * p.offsets(target, folds) for weight, p in weighted)
        )

    def added(self, target: Target, folds: Ints) -> Floats:
        """Return what each level adds to its parts, (n_folds, n_levels + 1)."""
        sums = target.sums(self.levels, folds, self.offsets(target, folds))
        return target.added(sums, self.pull)


def fit_pairs(
    X: pd.DataFrame, levels: Mapping[str, Levels], target: Target, foldings: Sequence[Ints]
) -> list[tuple[Column, list[Floats]]]:
    """Return the pairs that earn their place, encoded for each folding.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        The columns that may be halves.
    levels : mapping of str to Levels
        Of the categories.
    target : Target
    foldings : sequence of int arrays, each of shape (n,)
    """
    folds = foldings[0]
    if not levels or int(folds.max()) == 0:
        return []
    found = []
    for first, second in combinations(_halves(X, levels, target, folds), 2):
        if first.name in levels or second.name in levels:
            both = first.levels.paired(second.levels)
            if first.levels.size < both.size > second.levels.size and both.size < len(folds):
                found.append(_judged((first, second), both, target, folds))
    found = sorted((p for p in found if p.gain > _MIN_GAIN), key=lambda p: -p.gain)[:_MAX_KEPT]
    named = [Column(p.parts[0].name, "pair", partner=p.parts[1].name) for p in found]
    return [_encoded(*each, target, foldings) for each in zip(found, named, strict=True)]


def fit_identities(
    X: pd.DataFrame, levels: Mapping[str, Levels], target: Target, foldings: Sequence[Ints]
) -> list[tuple[Column, list[Floats]]]:
    """Return the numbers that name something, such as a license, encoded as categories too.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        The columns that may be identities.
    levels : mapping of str to Levels
        Of the categories. A number that only repeats what the most telling of them says, as the
        size of a chain does its name, is no identity of its own.
    target : Target
    foldings : sequence of int arrays, each of shape (n,)
    """
    folds = foldings[0]
    if int(folds.max()) == 0:
        return []
    named = [_part(name, known.with_missing(), target, folds) for name, known in levels.items()]
    telling = sorted(named, key=lambda part: part.loss)[:1]
    found = []
    for name in X:
        read = _repeated(X[name])
        if read is not None:
            exact, binned = read
            part = _part(str(name), binned, target, folds)
            found.append(_judged((part, *telling), exact, target, folds))
    found = sorted((e for e in found if e.gain > _MIN_GAIN), key=lambda e: -e.gain)[:_MAX_KEPT]
    return [
        _encoded(each, Column(each.parts[0].name, "category", part="level"), target, foldings)
        for each in found
    ]


def _repeated(values: pd.Series[Any]) -> tuple[Levels, Levels] | None:
    """Return a column of numbers that repeat as levels: exactly, and by quantile."""
    if kind_of(values) != "number":
        return None
    read = numbers(values)
    there = read[~np.isnan(read)]
    distinct = len(pd.unique(there))
    if not _MAX_VALUES < distinct <= len(there) / 2:
        return None
    edges = np.unique(np.quantile(there, np.linspace(0.0, 1.0, _N_BINS + 1)[1:-1]))
    bins = np.where(np.isnan(read), -1, np.searchsorted(edges, read, side="right"))
    names = tuple(str(k) for k in range(len(edges) + 1))
    return read_levels(pd.Series(read, name=values.name)), Levels(bins, names)


def _halves(
    X: pd.DataFrame, levels: Mapping[str, Levels], target: Target, folds: Ints
) -> list[_Part]:
    """Return the columns whose levels tell most."""
    found: list[_Part] = []
    for name in X:
        known = levels.get(str(name)) or _few_values(X[name])
        if known is None or known.size < 2:
            continue
        known = known.with_missing()
        found.append(_part(str(name), known, target, folds))
    return sorted(found, key=lambda half: half.loss)[:_MAX_HALVES]


def _part(name: str, levels: Levels, target: Target, folds: Ints) -> _Part:
    constant = target.constant()
    sums = target.sums(levels, folds)
    pull = target.choose_pull(levels, sums, constant, folds)
    margin = constant + target.added(sums, pull)[folds, levels.codes]
    return _Part(name, levels, pull, target.loss(margin))


def _few_values(values: pd.Series[Any]) -> Levels | None:
    if kind_of(values) != "number" or values.nunique() > _MAX_VALUES:
        return None
    return read_levels(values)


def _judged(parts: tuple[_Part, ...], levels: Levels, target: Target, folds: Ints) -> _Extra:
    rows = np.arange(len(folds))
    design = np.column_stack([part.offsets(target, folds)[folds, rows] for part in parts])
    bounds: list[tuple[float | None, float | None]] = [(0.0, None)] * len(parts)
    problem = Problem(
        target.family, design, target.y, target.w, bounds, np.zeros(len(parts)), target.offset
    )
    extra = _Extra(0.0, parts, levels, problem.solve(1.0), 0.0)
    offsets = extra.offsets(target, folds)
    sums = target.sums(levels, folds, offsets)
    offset = offsets[folds, rows]
    pull = target.choose_pull(levels, sums, offset, folds)
    margin = offset + target.added(sums, pull)[folds, levels.codes]
    gain = len(folds) * (target.loss(offset) - target.loss(margin))
    return replace(extra, gain=gain, pull=pull)


def _encoded(
    extra: _Extra, column: Column, target: Target, foldings: Sequence[Ints]
) -> tuple[Column, list[Floats]]:
    levels = extra.levels
    together = np.zeros(len(levels.codes), dtype=np.int64)
    whole = extra.added(target, together)[0, : levels.size]
    column = replace(column, levels=levels.names, codes=tuple(whole.tolist()), fill=0.0, unseen=0.0)
    return column, [extra.added(target, folds)[folds, levels.codes] for folds in foldings]
