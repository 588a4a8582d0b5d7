"""A large table of numbers of which a few rows are replaced again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.arrays import Ints, Ints32

# Of all rows, from which on the replaced ones are put in place of those that they replace.
_MOST: Final = 1 / 8


class ReplacedRows:
    """A table read like an array, in which some rows stand in place of those first given.

    It never changes: replacing rows gives another, which shares the rows that are as they were. To
    copy all signals of a country takes longer than to score a dealer.

    Parameters
    ----------
    base : array, shape (n, p)
        The rows as first given.
    """

    def __init__(self, base: npt.NDArray[Any]) -> None:
        self._base = base
        self._own = base[:0]
        self._place: Ints32 = np.full(len(base), -1, dtype=np.int32)  # in `_own`; -1 as first given

    def __len__(self) -> int:
        return len(self._base)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return iter(self[:])

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and of columns."""
        return self._base.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self[:], dtype=dtype, copy=copy)

    def __getitem__(self, key: Any) -> Any:
        """Return what an array of the current rows would; not to be written to."""
        rows, columns = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        place = self._place[rows]
        if np.ndim(place) == 0:
            return self._base[key] if place < 0 else self._own[(place, *columns)]
        found, is_own = self._base[key], place >= 0
        if not is_own.any():
            return found
        found = found.copy()
        found[is_own] = self._own[(place[is_own], *columns)]
        return found

    def replaced(self, rows: Ints, values: npt.NDArray[Any]) -> ReplacedRows:
        """Return the table in which some rows, each named once, have other values."""
        out = ReplacedRows(self._base)
        out._place = self._place.copy()
        new = rows[out._place[rows] < 0]
        out._place[new] = len(self._own) + np.arange(len(new), dtype=np.int32)
        out._own = np.concatenate(
            [self._own, np.empty_like(self._base, shape=(len(new), *self.shape[1:]))]
        )
        out._own[out._place[rows]] = values
        return out if len(out._own) <= _MOST * len(self) else ReplacedRows(out[:])
