"""Contributions of each column to a margin, exact: base + contributions = margin.

The margin is the served log-odds or log-rate. Tree parts are Shapley values on the trees' own
cover (path dependent), from LightGBM for a few rows and from woodelf for whole tables; both are
held to each other by test. Linear parts are coefficient times distance from the training mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.errors import AdditivityError

Floats = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-6
# Woodelf works in float32 tables; a larger gap than this is a fault and not rounding.
_ROUNDING: Final = 1e-4


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


def contributions_by_woodelf(booster: Any, Z: Floats, raw: Floats) -> tuple[Floats, float]:
    """Return woodelf's contributions for a whole table, (n, p), and the base.

    Woodelf returns no base: it is LightGBM's own for one row. What rounding leaves is spread over
    the row's contributions in proportion to their size, so that additivity is exact.

    Parameters
    ----------
    booster : lightgbm.Booster
    Z : array of shape (n, p)
    raw : array of shape (n,)
        The booster's prediction for these rows.
    """
    from woodelf import WoodelfExplainer

    names = [f"c{j}" for j in range(Z.shape[1])]
    frame = pd.DataFrame(Z, columns=names)
    found = WoodelfExplainer(booster).shap_values(frame, as_df=True, verbose=False)
    values = found[names].to_numpy(dtype=np.float64)
    base = contributions_by_lightgbm(booster, Z[:1], num_threads=1)[1]
    gap = raw - base - values.sum(axis=1)
    if gap.size and float(np.abs(gap).max()) > _ROUNDING * max(1.0, float(np.abs(raw).max())):
        raise AdditivityError(
            "Woodelf's contributions do not add up to LightGBM's prediction.",
            found=f"a gap of {float(np.abs(gap).max()):.3g}",
            expected=f"at most {_ROUNDING:g}",
            fix="explain with method='lightgbm'",
        )
    size = np.abs(values)
    total = size.sum(axis=1)
    share = np.divide(size, total[:, None], out=np.zeros_like(size), where=total[:, None] > 0)
    return values + share * gap[:, None], base
