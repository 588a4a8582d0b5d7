"""The encoding of rows that are nothing but numbers, without a table: of few rows the table costs.

It gives what `models.columns.encoding.encode` gives of the same numbers in a table, to the last
bit; where a column is read as a date or a pair it cannot, and there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from models.columns.encoding import Column, filled, fills_of, require_finite
from models.columns.levels import name_of

# Of so many rows at most; beyond, a table is as fast.
FEW_ROWS: Final = 64


@dataclass(frozen=True)
class _Lookup:
    """Numbers that are read as names: the encoded column, the numbers in order and their codes."""

    place: int
    keys: Floats
    codes: Floats
    unseen: float

    @classmethod
    def of(cls, place: int, column: Column) -> _Lookup:
        """Lay out the levels of a category that are names of numbers."""
        known = {}
        for level, code in zip(column.levels, column.codes, strict=True):
            number = _number_of(level)
            if number is not None:
                known[number] = code
        keys = np.array(sorted(known), dtype=np.float64)
        codes = np.array([known[key] for key in keys.tolist()], dtype=np.float64)
        unseen = np.nan if column.unseen is None else column.unseen
        return cls(place, keys, codes, unseen)

    def read(self, values: Floats) -> Floats:
        """Return the code of each number; missing where it is."""
        found = np.full(len(values), self.unseen)
        if len(self.keys):
            at = np.minimum(np.searchsorted(self.keys, values), len(self.keys) - 1)
            found = np.where(self.keys[at] == values, self.codes[at], found)
        return np.where(np.isnan(values), np.nan, found)


def _number_of(level: str) -> float | None:
    """Return the number whose name a level is; None when it is of something else."""
    try:
        number = float(level)
    except ValueError:
        return None
    return number if np.isfinite(number) and name_of(number) == level else None


@dataclass(frozen=True)
class FromNumbers:
    """How rows of numbers become encoded rows.

    Parameters
    ----------
    sources : array of int, shape (q,)
        The column of the rows that each encoded one is made of.
    lookups : tuple
    fills : array of shape (q,)
        What a missing value becomes, NaN where it stays missing.
    """

    sources: npt.NDArray[np.int64]
    lookups: tuple[_Lookup, ...]
    fills: Floats

    @classmethod
    def of(cls, columns: Sequence[Column], names: Sequence[str]) -> FromNumbers | None:
        """Lay out the encoding of rows whose numbers stand in the order of `names`.

        None when one of the columns cannot be read of a number.
        """
        place = {name: j for j, name in enumerate(names)}
        if any(c.kind not in ("number", "category") or c.name not in place for c in columns):
            return None
        sources = np.array([place[c.name] for c in columns], dtype=np.int64)
        lookups = [_Lookup.of(j, c) for j, c in enumerate(columns) if c.kind == "category"]
        return cls(sources, tuple(lookups), fills_of(columns))

    def encode(self, Z: Floats) -> Floats:
        """Return encoded rows, shape (n, q)."""
        out = Z[:, self.sources]
        for lookup in self.lookups:
            out[:, lookup.place] = lookup.read(out[:, lookup.place])
        return filled(out, self.fills)


def few_numbers(X: pd.DataFrame) -> Floats | None:
    """Return few rows of numbers as one array; None when they are many or hold anything else.

    Raises
    ------
    InputError
        When a value is infinite.
    """
    if len(X) > FEW_ROWS:
        return None
    values = X.to_numpy()
    if values.dtype.kind not in "iuf":
        return None
    Z = values.astype(np.float64)
    require_finite(Z, X)
    return Z
