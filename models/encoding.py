"""Any table of numbers and categories as one float64 matrix, column for column.

Numbers stay as they are. Categories become one number each: the mean target of the level, shrunk
toward the overall mean, so that explanations keep one contribution for each column and no tree
needs a categorical split. Training rows get the statistic of the *other* folds; a level never seen
counts as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A level with this many rows lies half-way between its own mean and the overall one.
SHRINKAGE: Final = 5.0
_NUMBERS_IN_OBJECTS: Final = frozenset(
    {"floating", "integer", "mixed-integer-float", "decimal", "boolean", "empty"}
)

_TIMES_IN_OBJECTS: Final = frozenset(
    {"datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period", "interval"}
)


@dataclass(frozen=True)
class Column:
    """How one column becomes a number.

    Parameters
    ----------
    name : str
    kind : {"number", "category"}
    levels : tuple of str
        Known levels of a category.
    codes : tuple of float
        The number each level becomes.
    fill : float or None
        What a missing value becomes; None leaves it missing. Set where no training row was
        missing, since a tree has learned nothing about missing values there.
    """

    name: str
    kind: Literal["number", "category"]
    levels: tuple[str, ...] = ()
    codes: tuple[float, ...] = ()
    fill: float | None = None

    def state(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Column:
        """Rebuild it from `state`."""
        return cls(**{**state, "levels": tuple(state["levels"]), "codes": tuple(state["codes"])})


def kind_of(values: pd.Series[Any]) -> Literal["number", "category"]:
    """Return whether a column holds numbers or categories.

    Raises
    ------
    InputError
        For dates, durations and complex numbers, which have no agreed number.
    """
    dtype = values.dtype
    if dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        raise _time_error(values, str(dtype))
    if dtype.kind == "c":
        raise InputError(f"Column '{values.name}': Complex data not supported.", found=str(dtype))
    if dtype.kind == "O" and not isinstance(dtype, pd.CategoricalDtype):
        return _kind_of_objects(values)
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(dtype):
        return "category"
    return "number"


def _kind_of_objects(values: pd.Series[Any]) -> Literal["number", "category"]:
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in _TIMES_IN_OBJECTS:
        raise _time_error(values, inferred)
    return "number" if inferred in _NUMBERS_IN_OBJECTS else "category"


def _time_error(values: pd.Series[Any], found: str) -> InputError:
    return InputError(
        f"Column '{values.name}' holds dates, durations or ranges.",
        found=found,
        expected="numbers, booleans, strings or categories",
        fix="turn it into days before the as-of date, a number",
    )


def numbers(values: pd.Series[Any]) -> Floats:
    """Return a column of numbers as float64, missing as NaN; infinite values are refused."""
    try:
        if values.dtype.kind == "O":
            read = pd.to_numeric(values.astype("object").where(values.notna(), np.nan))
            floats = read.to_numpy(dtype=np.float64)
        else:
            floats = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"Column '{values.name}' held numbers when the model was fitted and does not now.",
            found=str(error),
            expected="numbers",
        ) from error
    if np.isinf(floats).any():
        raise InputError(
            f"Input contains infinity: column '{values.name}'.",
            found=f"{int(np.isinf(floats).sum())} infinite values",
            expected="finite numbers, or missing",
            fix="a rate without exposure is missing, not infinite",
        )
    return floats


def level_names(values: pd.Series[Any]) -> tuple[Ints, list[str]]:
    """Return the code of each row's level (-1 where missing) and the levels' names."""
    codes, uniques = pd.factorize(values, sort=False)
    names = [_name(value) for value in uniques]
    distinct = sorted(set(names))
    place = {name: i for i, name in enumerate(distinct)}
    lookup = np.array([place[name] for name in names] + [-1], dtype=np.int64)
    return lookup[codes], distinct


def _name(value: object) -> str:
    # 3 and 3.0 are one level: an integer column turns to floats as soon as one row is missing.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def fit_columns(X: pd.DataFrame, y: Floats, w: Floats, folds: Ints) -> tuple[list[Column], Floats]:
    """Learn each column's encoding, and encode the training rows.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    y, w : array of shape (n,)
        Target and weights.
    folds : array of int, shape (n,)
        Fold of each row: its category statistics come from the other folds.

    Returns
    -------
    columns : list of Column
    Z : array of float64, shape (n, p)
    """
    columns: list[Column] = []
    Z = np.empty(X.shape, dtype=np.float64)
    for j, name in enumerate(X.columns):
        values = X.iloc[:, j]
        if kind_of(values) == "number":
            Z[:, j] = numbers(values)
            missing = np.isnan(Z[:, j])
            fill = None if missing.any() else float(np.median(Z[:, j]))
            columns.append(Column(str(name), "number", fill=fill))
        else:
            column, Z[:, j] = _fit_category(values, y, w, folds)
            columns.append(column)
    return columns, Z


def _fit_category(
    values: pd.Series[Any], y: Floats, w: Floats, folds: Ints
) -> tuple[Column, Floats]:
    codes, names = level_names(values)
    seen = codes >= 0
    prior = float(np.average(y, weights=w))
    n_folds = int(folds.max()) + 1
    # Sums by fold and level; a row's own fold is then taken away from the total.
    cell = np.where(seen, codes, 0) + folds * len(names)
    shape = (n_folds, max(len(names), 1))
    sums = np.bincount(cell, weights=np.where(seen, w * y, 0.0), minlength=np.prod(shape))
    mass = np.bincount(cell, weights=np.where(seen, w, 0.0), minlength=np.prod(shape))
    sums, mass = sums.reshape(shape), mass.reshape(shape)

    def shrunk(total: Floats, weight: Floats) -> Floats:
        return np.asarray((total + SHRINKAGE * prior) / (weight + SHRINKAGE))

    whole = shrunk(sums.sum(axis=0), mass.sum(axis=0))
    if n_folds > 1:
        others = shrunk(sums.sum(axis=0) - sums, mass.sum(axis=0) - mass)
        encoded = others[folds, np.where(seen, codes, 0)]
    else:
        encoded = whole[np.where(seen, codes, 0)]
    has_missing = bool((~seen).any())
    encoded = np.where(seen, encoded, np.nan if has_missing else prior)
    column = Column(
        str(values.name),
        "category",
        tuple(names),
        tuple(float(v) for v in whole[: len(names)]),
        None if has_missing else prior,
    )
    return column, encoded


def encode(X: pd.DataFrame, columns: Sequence[Column]) -> Floats:
    """Encode rows with fitted columns; `X` has the same columns in the same order."""
    if all(c.kind == "number" for c in columns) and all(d.kind in "iufb" for d in X.dtypes):
        Z = X.to_numpy(dtype=np.float64, copy=True)
        if np.isinf(Z).any():
            numbers(X.iloc[:, int(np.isinf(Z).any(axis=0).argmax())])
    else:
        Z = np.empty(X.shape, dtype=np.float64)
        for j, column in enumerate(columns):
            Z[:, j] = _encode_one(X.iloc[:, j], column)
    for j, column in enumerate(columns):
        if column.fill is not None:
            Z[np.isnan(Z[:, j]), j] = column.fill
    return Z


def _encode_one(values: pd.Series[Any], column: Column) -> Floats:
    if column.kind == "number":
        kind_of(values)
        return numbers(values)
    codes, names = level_names(values)
    known = dict(zip(column.levels, column.codes, strict=True))
    lookup = np.array([known.get(name, np.nan) for name in names] + [np.nan])
    return np.asarray(lookup[codes])
