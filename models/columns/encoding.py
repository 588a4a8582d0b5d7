"""Any table of numbers, categories and dates as one float64 matrix; each feature has its owner.

Numbers stay as they are. A date becomes days since 1970, its month and its weekday. A category
becomes how far its level lies above or below the average, in log-odds or log-rate, and how many
rows the level has. So no tree needs a categorical split, and the contributions of a column's
features add up to the column's. A level never seen is an average one.

`models.columns.encoding_fit` learns it; this module applies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from features.arrays import Floats
from models.columns.dates import days, is_text_of_dates
from models.columns.levels import Levels, read_levels
from models.errors import InputError
from models.stable_json import State

Kind = Literal["number", "category", "date"]

_NUMBERS_IN_OBJECTS: Final = frozenset(
    {"floating", "integer", "mixed-integer-float", "decimal", "boolean", "empty"}
)
_DATES_IN_OBJECTS: Final = frozenset({"datetime", "datetime64", "date", "timedelta", "timedelta64"})
_TIMES_IN_OBJECTS: Final = frozenset({"time", "period", "interval"})
MONTH: Final = "month"
WEEKDAY: Final = "weekday"


@dataclass(frozen=True)
class Column:
    """How one column becomes one number; a column may become several.

    Parameters
    ----------
    name : str
    kind : {"number", "category", "date", "pair"}
    levels : tuple of str
        Known levels of a category.
    codes : tuple of float
        The number each level becomes.
    fill : float or None
        What a missing value becomes; None leaves it missing. Set where no training row was
        missing, since a tree has learned nothing about missing values there.
    unseen : float or None
        What a level becomes that no training row had; None makes it missing.
    part : str
        What is taken from it. Of a date: nothing (days since 1970), its month or its weekday. Of a
        category: nothing (its code), its size, or its surplus over the fitted margin. Of a number
        that is a name: its level.
    partner : str
        The other column of a pair.
    """

    name: str
    kind: Literal["number", "category", "date", "pair"]
    levels: tuple[str, ...] = ()
    codes: tuple[float, ...] = ()
    fill: float | None = None
    unseen: float | None = None
    part: str = ""
    partner: str = ""

    @property
    def is_code(self) -> bool:
        """Whether it is in log-odds or log-rate already."""
        return self.unseen is not None and self.part in ("", "level")

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Column:
        """Rebuild it from `state`."""
        return cls(**{**state, "levels": tuple(state["levels"]), "codes": tuple(state["codes"])})


def kind_of(values: pd.Series[Any]) -> Kind:
    """Return whether a column holds numbers, categories or dates.

    Raises
    ------
    InputError
        For times of day, ranges and complex numbers, which have no agreed number.
    """
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        raise _time_error(values, str(dtype))
    if dtype.kind in "mM":
        return "date"
    if dtype.kind == "c":
        raise InputError(f"Column '{values.name}': Complex data not supported.", found=str(dtype))
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return _kind_of_objects(values)
    return _kind_of_text(values) if pd.api.types.is_string_dtype(dtype) else "number"


def _kind_of_text(values: pd.Series[Any]) -> Kind:
    return "date" if is_text_of_dates(values) else "category"


def _kind_of_objects(values: pd.Series[Any]) -> Kind:
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in _TIMES_IN_OBJECTS:
        raise _time_error(values, inferred)
    if inferred in _DATES_IN_OBJECTS:
        return "date"
    if inferred == "string":
        return _kind_of_text(values)
    return "number" if inferred in _NUMBERS_IN_OBJECTS else "category"


def _time_error(values: pd.Series[Any], found: str) -> InputError:
    return InputError(
        f"Column '{values.name}' holds times of day or ranges.",
        found=found,
        expected="numbers, booleans, strings, categories or dates",
        fix="turn it into a number",
    )


def numbers(values: pd.Series[Any]) -> Floats:
    """Return a column of numbers as float64, missing as NaN; infinite values are refused."""
    try:
        if values.dtype.kind == "O" or isinstance(values.dtype, pd.CategoricalDtype):
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


def as_numbers(values: pd.Series[Any]) -> Floats:
    """Return a column of numbers, or of dates as days since 1970, as float64."""
    return days(values) if kind_of(values) == "date" else numbers(values)


def part_of(read: Floats, part: str) -> Floats:
    """Return days since 1970, or the month (1 to 12) or weekday (0 to 6) of them."""
    if not part:
        return read
    whole = np.floor(read)
    if part == WEEKDAY:
        return np.asarray((whole + 3.0) % 7.0)  # 1970 began on a Thursday
    known = np.isfinite(whole)
    dates = np.where(known, whole, 0.0).astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1.0
    return np.asarray(np.where(known, months, np.nan))


def plain_numbers(X: pd.DataFrame) -> Floats | None:
    """Return a table of nothing but numbers as one array; None when it holds anything else."""
    if not all(dtype.kind in "iufb" for dtype in X.dtypes):
        return None
    Z = X.to_numpy(dtype=np.float64, copy=True)
    require_finite(Z, X)
    return Z


def require_finite(Z: Floats, X: pd.DataFrame) -> None:
    """Refuse infinite numbers, in the words that name the column."""
    if np.isinf(Z).any():
        numbers(X.iloc[:, int(np.isinf(Z).any(axis=0).argmax())])


def encode(X: pd.DataFrame, columns: Sequence[Column]) -> Floats:
    """Encode rows with fitted columns; `X` has the same columns in the same order."""
    Z = plain_numbers(X) if all(c.kind == "number" for c in columns) else None
    if Z is None:
        Z = np.empty((len(X), len(columns)), dtype=np.float64)
        reader = _Reader(X)
        for j, column in enumerate(columns):
            Z[:, j] = reader.read(column)
    return filled(Z, fills_of(columns))


def fills_of(columns: Sequence[Column]) -> Floats:
    """Return what a missing value of each column becomes, NaN where it stays missing."""
    return np.array([np.nan if c.fill is None else c.fill for c in columns], dtype=np.float64)


def filled(Z: Floats, fills: Floats) -> Floats:
    """Put the fills of the columns where a value is missing, in place, and return the rows."""
    np.copyto(Z, fills, where=np.isnan(Z))
    return Z


class _Reader:
    """Reads each column of a table once, however many features are made of it."""

    def __init__(self, X: pd.DataFrame) -> None:
        self._X = X
        self._levels: dict[str, Levels] = {}
        self._days: dict[str, Floats] = {}

    def read(self, column: Column) -> Floats:
        if column.kind == "number":
            values = self._X[column.name]
            if kind_of(values) == "date":
                raise InputError(
                    f"Column '{column.name}' held numbers when the model was fitted, "
                    "and holds dates now.",
                    found=str(values.dtype),
                    expected="numbers",
                )
            return numbers(values)
        if column.kind == "date":
            if column.name not in self._days:
                self._days[column.name] = days(self._X[column.name])
            return part_of(self._days[column.name], column.part)
        levels = self._levels_of(column.name)
        if column.kind == "pair":
            levels = levels.with_missing().paired(self._levels_of(column.partner).with_missing())
        return levels.looked_up(column.levels, column.codes, unseen=column.unseen)

    def _levels_of(self, name: str) -> Levels:
        if name not in self._levels:
            self._levels[name] = read_levels(self._X[name])
        return self._levels[name]


def owners_of(columns: Sequence[Column], names: Sequence[str]) -> list[tuple[int, int]]:
    """Return the one or two columns of the table that each feature belongs to, by place."""
    place = {name: j for j, name in enumerate(names)}
    return [(place[c.name], place[c.partner or c.name]) for c in columns]
