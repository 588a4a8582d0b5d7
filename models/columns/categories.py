"""Levels of categories, and what they say of a target: shrunk, and crossed over folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.errors import InputError
from models.linear import Family, link_of, loss, mean_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Rows' worth of the expected that a level's own rows are mixed with: which, the held-out rows say.
_PULLS: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
_MISSING: Final = "\x00"
# Newton's steps toward the constant beside known parts; they converge in three or four.
_STEPS: Final = 8
_BETWEEN: Final = "\x1f"


@dataclass(frozen=True)
class Levels:
    """Rows by level.

    Parameters
    ----------
    codes : array of int, shape (n,)
        Place of each row's level in `names`; -1 where missing.
    names : tuple of str
    """

    codes: Ints
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many levels there are."""
        return len(self.names)

    def with_missing(self) -> Levels:
        """Return it with missing as a level."""
        if not (self.codes < 0).any():
            return self
        return Levels(np.where(self.codes < 0, self.size, self.codes), (*self.names, _MISSING))

    def paired(self, other: Levels) -> Levels:
        """Return the levels of both together; neither may be missing."""
        cell, codes = np.unique(self.codes * other.size + other.codes, return_inverse=True)
        names = [
            f"{self.names[i]}{_BETWEEN}{other.names[j]}"
            for i, j in zip(cell // other.size, cell % other.size, strict=True)
        ]
        return Levels(codes.astype(np.int64), tuple(names))

    def looked_up(
        self, known: Sequence[str], values: Sequence[float], *, unseen: float | None
    ) -> Floats:
        """Return the value of each row's level; NaN where it is missing."""
        table = dict(zip(known, values, strict=True))
        default = np.nan if unseen is None else unseen
        found = np.array([table.get(name, default) for name in self.names] + [np.nan])
        return np.asarray(found[self.codes], dtype=np.float64)


def read_levels(values: pd.Series[Any]) -> Levels:
    """Read a column as categories.

    Raises
    ------
    InputError
        When a cell holds a list or another thing that has no name of its own.
    """
    try:
        codes, uniques = pd.factorize(values, sort=False)
    except TypeError as error:
        raise InputError(
            f"Column '{values.name}' holds cells that are no category.",
            found=str(error),
            expected="numbers, booleans, strings, categories or dates",
            fix="take out of it what matters, one value a cell",
        ) from error
    names = [_name(value) for value in uniques]
    distinct = sorted(set(names))
    place = {name: i for i, name in enumerate(distinct)}
    lookup = np.array([place[name] for name in names] + [-1], dtype=np.int64)
    return Levels(lookup[codes], tuple(distinct))


def level_names(values: pd.Series[Any]) -> tuple[Ints, list[str]]:
    """Return the code of each row's level (-1 where missing) and the levels' names."""
    levels = read_levels(values)
    return levels.codes, list(levels.names)


def _name(value: object) -> str:
    # 3 and 3.0 are one level: an integer column turns to floats as soon as one row is missing.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    Parameters
    ----------
    family : {"binary", "poisson"}
    y, w : array of shape (n,)
        Target, and weights of mean one.
    offset : array of shape (n,), optional
        Part of each row's margin that is known and not the columns' doing.
    """

    family: Family
    y: Floats
    w: Floats
    offset: Floats | None = None

    def loss(self, margin: Floats) -> float:
        """Return the mean negative log-likelihood."""
        return loss(self.family, self.y, self.known(margin), self.w)

    def known(self, margin: Floats) -> Floats:
        """Return a margin with what is known of each row added."""
        return margin if self.offset is None else margin + self.offset

    def taken(self, rows: Ints) -> Target:
        """Return it of some of its rows."""
        offset = None if self.offset is None else self.offset[rows]
        return Target(self.family, self.y[rows], self.w[rows], offset)

    @property
    def n_rare(self) -> int:
        """How many rows are above zero, or at zero if those are fewer and the target is binary."""
        above = int((self.y > 0).sum())
        return min(above, len(self.y) - above) if self.family == "binary" else above

    def constant(self) -> Floats:
        """Return the margin of the average for every row."""
        average = float(np.average(self.y, weights=self.w))
        middle = link_of(self.family, average)
        for _ in range(_STEPS if self.offset is not None else 0):
            # The constant at which known parts and all average to what was observed.
            mean = mean_of(self.family, self.known(np.full(len(self.y), middle)))
            curve = mean * (1.0 - mean) if self.family == "binary" else mean
            middle += float(np.average(self.y - mean, weights=self.w)) / max(
                float(np.average(curve, weights=self.w)), 1e-9
            )
        return np.full(len(self.y), middle)

    def sums(self, levels: Levels, folds: Ints, offsets: Floats | None = None) -> Floats:
        """Return weight, observed and expected of each level with each fold left out.

        Parameters
        ----------
        levels : Levels
        folds : array of int, shape (n,)
        offsets : array of shape (n_folds, n), optional
            What is expected of every row by a model that has not seen the fold; by default the
            average. It must not have seen it: a row's own label in what is expected of its like
            would turn their surplus against it.

        Returns
        -------
        array of shape (3, n_folds, n_levels + 1)
            The last level is missing.
        """
        size, n_folds = levels.size + 1, int(folds.max(initial=0)) + 1
        codes = np.where(levels.codes < 0, levels.size, levels.codes)
        cell = codes + folds * size

        def by_fold(values: Floats) -> Floats:
            sums = np.bincount(cell, weights=values, minlength=n_folds * size)
            return np.asarray(sums.reshape(-1, size), dtype=np.float64)

        def of_others(values: Floats) -> Floats:
            each = by_fold(values)
            return np.asarray(each if n_folds == 1 else each.sum(axis=0) - each)

        weight, observed = of_others(self.w), of_others(self.w * self.y)
        if offsets is None:
            mean = mean_of(self.family, self.known(self.constant()))
            expected = weight * mean[0] if self.offset is None else of_others(self.w * mean)
            return np.stack([weight, observed, expected])
        expected = np.empty_like(weight)
        for fold in range(n_folds):
            kept = self.w * mean_of(self.family, self.known(offsets[fold]))
            if n_folds > 1:
                kept[folds == fold] = 0.0
            expected[fold] = np.bincount(codes, weights=kept, minlength=size)
        return np.stack([weight, observed, expected])

    def choose_pull(self, levels: Levels, sums: Floats, offset: Floats, folds: Ints) -> float:
        """Return the pull under which other folds' levels predict a row best."""
        losses = [
            self.loss(offset + self.added(sums, pull)[folds, levels.codes]) for pull in _PULLS
        ]
        return _PULLS[int(np.argmin(losses))]

    def added(self, sums: Floats, pull: float) -> Floats:
        """Return what each level adds to the expected margin, shape (n_folds, n_levels + 1).

        It is the log ratio of observed to expected (binary: of odds), both with `pull` rows of
        the average mixed in; missing adds nothing.
        """
        weight, observed, expected = sums
        mean = float(np.average(self.y, weights=self.w))
        added = np.log((observed + pull * mean) / (expected + pull * mean))
        if self.family == "binary":
            rest = pull * (1.0 - mean)
            # Rounding may leave a sum of nothing a little below zero.
            added -= np.log(np.maximum(weight - observed, 0.0) + rest)
            added += np.log(np.maximum(weight - expected, 0.0) + rest)
        added[:, -1] = 0.0
        return np.asarray(added)
