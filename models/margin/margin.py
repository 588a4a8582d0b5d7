"""A margin: log-odds or log-rate as the weighted sum of a linear and a tree part.

The sum is explained exactly: each part's contributions times its weight. It is fitted by
`models.margin.fitting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from features.arrays import Floats, Ints
from models.columns.encoding import Column, encode, owners_of
from models.columns.from_numbers import FromNumbers, few_numbers
from models.explanation import Explanation, contributions_by_lightgbm
from models.linear import Basis, mean_of
from models.margin.lightgbm_trees import quiet, read
from models.margin.threads import in_turns
from models.stable_json import State

if TYPE_CHECKING:
    from models.margin.tabulated import Tabulated

Method = Literal["auto", "lightgbm", "table"]

# From so many rows on, laying out the trees as tables pays for itself.
TABLE_ROWS: Final = 200
# Rows that one thread scores at once.
_CHUNK_ROWS: Final = 4_000


@dataclass(frozen=True)
class MarginModel:
    """A fitted margin.

    Parameters
    ----------
    columns : tuple of Column
        Encodings, in the order of the input.
    basis : Basis
    intercept : float
    coefficients : array of shape (q,)
        Of the features of `basis`, weight of the blend included.
    trees : str
        LightGBM text whose prediction is the tree part; empty when there is none.
    shares : tuple of float
        Weight of the linear and of the tree part in the blend.
    """

    columns: tuple[Column, ...]
    basis: Basis
    intercept: float
    coefficients: Floats
    trees: str
    shares: tuple[float, ...]

    @cached_property
    def booster(self) -> Any:
        """The trees, read; None when there are none."""
        return read(self.trees) if self.trees else None

    @cached_property
    def tables(self) -> Tabulated:
        """The trees, laid out for explaining whole tables."""
        from models.margin.tabulated import tabulate  # compiled kernels: not needed for few rows

        return tabulate(self.trees)

    def __getstate__(self) -> State:
        return {k: v for k, v in self.__dict__.items() if k not in {"booster", "tables", "_ways"}}

    def encode(self, X: pd.DataFrame) -> Floats:
        """Encode rows."""
        Z = few_numbers(X)
        way = None if Z is None else self._from_numbers(tuple(X.columns))
        return encode(X, self.columns) if Z is None or way is None else way.encode(Z)

    def of_numbers(self, Z: Floats, names: tuple[str, ...], *, n_jobs: int = 1) -> Floats | None:
        """Return the margin of rows of finite or missing numbers in the order of `names`, (n,).

        None when a column is not read of a number: then a table is needed.
        """
        way = self._from_numbers(names)
        return None if way is None else self.margin(way.encode(Z), n_jobs=n_jobs)

    def _from_numbers(self, names: tuple[str, ...]) -> FromNumbers | None:
        if names not in self._ways:
            self._ways[names] = FromNumbers.of(self.columns, names)
        return self._ways[names]

    @cached_property
    def _ways(self) -> dict[tuple[str, ...], FromNumbers | None]:
        return {}

    def margin(self, Z: Floats, *, n_jobs: int = 1) -> Floats:
        """Return the margin of encoded rows, shape (n,)."""
        linear = self.intercept + self.basis.dot(Z, self.coefficients)
        return np.asarray(linear + self._trees(Z, n_jobs))

    def _trees(self, Z: Floats, n_jobs: int) -> Floats:
        if self.booster is None or not len(Z):
            return np.zeros(len(Z))

        def ask(rows: slice) -> Floats:
            said = self.booster.predict(Z[rows], raw_score=True, num_threads=1)
            return np.asarray(said, dtype=np.float64)

        parts = [slice(i, i + _CHUNK_ROWS) for i in range(0, len(Z), _CHUNK_ROWS)]
        return np.concatenate(in_turns(ask, parts, n_jobs, prepare=quiet))

    def explain(
        self,
        Z: Floats,
        *,
        method: Method = "auto",
        n_jobs: int = 1,
        margin: Floats | None = None,
    ) -> Explanation:
        """Return the contributions of encoded rows; additivity is checked.

        Against `margin`, what `margin` returned for these rows, where the caller has it.
        """
        values = np.zeros(Z.shape)
        base = self.intercept
        if self.booster is not None and len(Z):
            if method == "table" or (method == "auto" and len(Z) >= TABLE_ROWS):
                values = self.tables.contributions(Z)
                base += self.tables.base
            else:
                values, mean = contributions_by_lightgbm(self.booster, Z, num_threads=n_jobs)
                base += mean
        linear = self.intercept + self.basis.contributions(Z, self.coefficients, values)
        explained = Explanation(self._by_owner(values), np.full(len(Z), base), self.names)
        return explained.checked(linear + self._trees(Z, n_jobs) if margin is None else margin)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of the input; each may have several features."""
        return tuple(dict.fromkeys(column.name for column in self.columns))

    def _by_owner(self, values: Floats) -> Floats:
        """Add up the contributions of each column's features; a pair's are halved."""
        owners = owners_of(self.columns, self.names)
        if owners == [(j, j) for j in range(len(self.names))]:
            return values
        total = np.zeros((len(values), len(self.names)))
        for k, both in enumerate(owners):
            for owner in both:
                total[:, owner] += 0.5 * values[:, k]
        return total

    def state(self) -> State:
        """Return all but the trees as JSON can hold it."""
        return {
            "columns": [column.state() for column in self.columns],
            "basis": self.basis.state(),
            "intercept": self.intercept,
            "coefficients": self.coefficients.tolist(),
            "shares": list(self.shares),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], trees: str) -> MarginModel:
        """Rebuild it from `state` and the text of its trees."""
        return cls(
            tuple(Column.from_state(column) for column in state["columns"]),
            Basis.from_state(state["basis"]),
            float(state["intercept"]),
            np.asarray(state["coefficients"], dtype=np.float64),
            trees,
            tuple(float(share) for share in state["shares"]),
        )


def probability(margin: Floats) -> Floats:
    """Return the probability of a log-odds."""
    return mean_of("binary", margin)


@dataclass(frozen=True)
class FittedMargin:
    """A margin model and what it said of training rows it had not seen.

    Parameters
    ----------
    model : MarginModel
    held_out : array of shape (n,)
        Margin of each training row from the members that left it out.
    weights : array of shape (n,)
        As used: of mean one, as given where there are fewer rows than
        `models.margin.folds.MIN_ROWS`. Only their ratios matter in the first case; in the second
        a weight of two is a row given twice.
    sample : array of int, shape (n_sampled,)
        Rows whose `variance` is known.
    variance : array of shape (n_sampled,)
        By how much their margin would differ between samples of rows like these.
    """

    model: MarginModel
    held_out: Floats
    weights: Floats
    sample: Ints
    variance: Floats
