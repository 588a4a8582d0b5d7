"""Contributions of each column to a margin, exact: base + contributions = margin.

The margin is the served log-odds or log-rate. Tree parts are Shapley values on the trees' own
cover (path dependent), from LightGBM for a few rows and from `models.margin.tabulated` for whole
tables; tests hold both to each other, to shap and to woodelf. Linear parts are coefficient times
distance from the training mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.errors import AdditivityError

Floats = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class Explanation:
    """Contributions to a margin.

    Parameters
    ----------
    values : array of float64, shape (n, p)
        Contribution of each column, in log-odds or log-rate.
    base : array of float64, shape (n,)
        Margin of the average training row.
    columns : tuple of str
        Names of the columns of `values`.
    """

    values: Floats
    base: Floats
    columns: tuple[str, ...]

    @property
    def margin(self) -> Floats:
        """Base plus all contributions."""
        return np.asarray(self.base + self.values.sum(axis=1))

    def checked(self, margin: Floats) -> Explanation:
        """Return itself if it adds up to `margin`.

        Raises
        ------
        AdditivityError
            When any row is off by more than `TOLERANCE`, relative to the margin where that is
            larger than one.
        """
        gap = np.abs(self.margin - margin) / np.maximum(1.0, np.abs(margin))
        if gap.size and not float(gap.max()) <= TOLERANCE:
            raise AdditivityError(
                "The contributions of an explanation do not add up to the score.",
                found=f"a gap of {float(gap.max()):.3g} in row {int(gap.argmax())}",
                expected=f"at most {TOLERANCE:g}",
                fix="the model and its explanation disagree; do not serve it",
            )
        return self

    def __add__(self, other: Explanation) -> Explanation:
        return Explanation(self.values + other.values, self.base + other.base, self.columns)

    def scaled(self, weight: float) -> Explanation:
        """Return it times a weight."""
        return Explanation(self.values * weight, self.base * weight, self.columns)

    def aligned(self, columns: Sequence[str]) -> Explanation:
        """Return it over other columns; those it does not know contribute nothing."""
        if tuple(columns) == self.columns:
            return self
        place = {name: j for j, name in enumerate(columns)}
        values = np.zeros((len(self.values), len(columns)))
        values[:, [place[name] for name in self.columns]] = self.values
        return Explanation(values, self.base, tuple(columns))


def contributions_by_lightgbm(booster: Any, Z: Floats, *, num_threads: int) -> tuple[Floats, float]:
    """Return LightGBM's own exact contributions, (n, p), and the base."""
    found = np.asarray(
        booster.predict(Z, pred_contrib=True, num_threads=num_threads), dtype=np.float64
    )
    return found[:, :-1], float(found[0, -1])
