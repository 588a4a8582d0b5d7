"""What the levels of a category say of a target: shrunk, and crossed over folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from features.arrays import Floats, Ints
from models.columns.levels import Levels
from models.linear import Family, link_of, loss, mean_of

# Rows' worth of the expected that a level's own rows are mixed with: which, the held-out rows say.
_PULLS: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
# Newton's steps toward the constant beside known parts; they converge in three or four.
_STEPS: Final = 8


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
