"""Contributions of each column to a margin, exact: base + contributions = margin.

The margin is the served log-odds or log-rate. Tree parts are Shapley values on the trees' own
cover (path dependent), from LightGBM for a few rows and from `models.margin.tabulated` for whole
tables; tests hold both to each other, to shap and to woodelf. Linear parts are coefficient times
distance from the training mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from models.errors import AdditivityError

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
    data : DataFrame of shape (n, p), optional
        What was explained.

    Examples
    --------
    >>> e = Explanation(np.array([[1.0, -2.0]]), np.array([0.5]), ("a", "b"))
    >>> len(e), e[0].values.tolist(), float(e[0].margin)
    (1, [1.0, -2.0], -0.5)
    """

    values: Floats
    base: Floats
    columns: tuple[str, ...]
    data: Any = field(default=None, repr=False, compare=False)

    @property
    def margin(self) -> Floats:
        """Base plus all contributions."""
        return np.asarray(self.base + self.values.sum(axis=-1))

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, rows: Any) -> Explanation:
        """Return some rows, or one: then `values` has shape (p,) and `base` none."""
        data = None if self.data is None else self.data.iloc[rows]
        return Explanation(self.values[rows], self.base[rows], self.columns, data)

    def of(self, data: Any) -> Explanation:
        """Return it with the table that it explains, for `to_shap`."""
        return replace(self, data=data)

    def to_shap(self) -> Any:
        """Return it as a `shap.Explanation`, which shap's plots draw.

        Waterfall and force plots take one row, beeswarm and bar plots all of them. Text is shown by
        its category's number where a plot needs a number for its color.
        """
        import shap

        data = self.data
        if data is not None:
            data = np.asarray(data, dtype=object)
            if self.values.ndim == 2:
                data = _as_numbers(self.data)
        return shap.Explanation(
            values=self.values,
            base_values=self.base,
            data=data,
            feature_names=list(self.columns),
        )

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
        values, base = self.values + other.values, self.base + other.base
        return Explanation(values, base, self.columns, self.data)

    def scaled(self, weight: float) -> Explanation:
        """Return it times a weight."""
        return Explanation(self.values * weight, self.base * weight, self.columns, self.data)

    def aligned(self, columns: Sequence[str]) -> Explanation:
        """Return it over other columns; those it does not know contribute nothing."""
        if tuple(columns) == self.columns:
            return self
        place = {name: j for j, name in enumerate(columns)}
        values = np.zeros((len(self.values), len(columns)))
        values[:, [place[name] for name in self.columns]] = self.values
        return Explanation(values, self.base, tuple(columns))


def _as_numbers(data: pd.DataFrame) -> Floats:
    """Return a table as numbers: categories and text by their order, dates as days."""
    columns = {}
    for name in data.columns:
        column = data[name]
        if column.dtype.kind in "biuf":
            columns[name] = column.astype(np.float64)
        elif column.dtype.kind in "mM":
            columns[name] = column.astype("int64") / 86_400e9
        else:
            codes = pd.Series(column.astype("category").cat.codes, index=data.index)
            columns[name] = codes.astype(np.float64).where(codes >= 0)
    return pd.DataFrame(columns).to_numpy(dtype=np.float64)


def contributions_by_lightgbm(booster: Any, Z: Floats, *, num_threads: int) -> tuple[Floats, float]:
    """Return LightGBM's own exact contributions, (n, p), and the base."""
    found = np.asarray(
        booster.predict(Z, pred_contrib=True, num_threads=num_threads), dtype=np.float64
    )
    return found[:, :-1], float(found[0, -1])
