"""Levels of a column read as categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from features.arrays import Floats, Ints
from models.errors import InputError

_MISSING: Final = "\x00"
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
    names = [name_of(value) for value in uniques]
    distinct = sorted(set(names))
    place = {name: i for i, name in enumerate(distinct)}
    lookup = np.array([place[name] for name in names] + [-1], dtype=np.int64)
    return Levels(lookup[codes], tuple(distinct))


def level_names(values: pd.Series[Any]) -> tuple[Ints, list[str]]:
    """Return the code of each row's level (-1 where missing) and the levels' names."""
    levels = read_levels(values)
    return levels.codes, list(levels.names)


def name_of(value: object) -> str:
    """Return the name of a level."""
    # 3 and 3.0 are one level: an integer column turns to floats as soon as one row is missing.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
