"""How a margin is fitted: what the caller sets, and what follows from the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.columns.encoding import Column
from models.linear import Family
from models.margin.lightgbm_trees import Growth, Shape

_DEEP_LEAVES: Final = 31
# Rounds without a better held-out loss before members stop growing: the fewer the rows, the less
# steadily it falls.
_PATIENCE: Final = 10
_LONG_PATIENCE: Final = 15
_STEADY_ROWS: Final = 10_000
# Above so many rows a member that sees two thirds of them is as good as one that sees most.
_MANY_ROWS: Final = 200_000


@dataclass(frozen=True)
class Settings:
    """How a margin is fitted; None means: chosen from the number of rows.

    Parameters
    ----------
    family : {"binary", "poisson"}
    monotone : tuple of int or None
        Direction of each column; one with a direction, even 0, is a number and no name. None
        leaves open what the column is.
    n_folds, n_repeats, num_leaves : int or None
    max_rounds : int
    learning_rate : float
    seed, n_jobs : int
    """

    family: Family
    monotone: tuple[int | None, ...]
    n_folds: int | None
    n_repeats: int | None
    num_leaves: int | None
    max_rounds: int
    learning_rate: float
    seed: int
    n_jobs: int

    def ways(self, columns: Sequence[Column], names: Sequence[str]) -> tuple[int, ...]:
        """Return the direction of each feature."""
        way = dict(zip(names, self.monotone, strict=True))
        return tuple(0 if c.part or c.partner else way[c.name] or 0 for c in columns)

    def folds(self, n_rows: int) -> int:
        """Into how many folds the rows are dealt; many rows can spare more of them."""
        if self.n_folds is not None:
            return self.n_folds
        return 5 if n_rows <= _MANY_ROWS else 3

    def repeats(self, n_rows: int, n_rare: int) -> int:
        """How often the rows are dealt into folds; few rows, or few of a class, need averaging."""
        if self.n_repeats is not None:
            return self.n_repeats
        if n_rows <= 2_000 or n_rare <= 60:
            return 3
        return 2 if n_rows <= 12_000 or n_rare <= 300 else 1

    def growth(self, n_rows: int, shape: Shape, ways: tuple[int, ...]) -> Growth:
        """How the members grow on so many rows; `ways` are the directions of the features."""
        leaves = _DEEP_LEAVES if shape == "deep" else int(np.clip(4 + n_rows / 3_000, 6, 24))
        return Growth(
            self.family,
            ways,
            shape,
            self.num_leaves or leaves,
            self.max_rounds,
            _PATIENCE if n_rows >= _STEADY_ROWS else _LONG_PATIENCE,
            self.learning_rate,
            self.seed,
            self.n_jobs,
        )
