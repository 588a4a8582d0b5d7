"""Where the dealers of a published table stand, as integer codes: made once for the table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Ints
from models.order.random_share import hashes
from models.order.ties import turns_among_ties


class Places:
    """The columns of a table that no rescoring changes, as codes, and the turns of its dealers.

    Parameters
    ----------
    columns : mapping of str to array, each of shape (n,)
        The scored columns as published.
    """

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        self._columns = columns
        self._codes: dict[str, tuple[Ints, npt.NDArray[np.object_]]] = {}
        self._alphabetical: dict[str, Ints] = {}

    def codes(self, name: str) -> tuple[Ints, npt.NDArray[np.object_]]:
        """Return a place column as integer codes and the names they stand for."""
        if name not in self._codes:
            codes, names = pd.factorize(self._columns[name])
            self._codes[name] = (codes.astype(np.int64), np.asarray(names, dtype=object))
        return self._codes[name]

    @cached_property
    def dealer_hashes(self) -> npt.NDArray[np.uint64]:
        """What each dealer's random numbers are made of, shape (n,)."""
        return hashes(self._columns["dealer"])

    def alphabetical(self, name: str) -> Ints:
        """Return each row's place in the alphabet of a column's values: the order of the strata."""
        if name not in self._alphabetical:
            codes, names = self.codes(name)
            places = np.empty(len(names), dtype=np.int64)
            places[np.argsort(names.astype(str), kind="stable")] = np.arange(len(names))
            self._alphabetical[name] = places[codes]
        return self._alphabetical[name]

    @cached_property
    def turns(self) -> Ints:
        """Each dealer's turn among dealers of the same priority, shape (n,)."""
        return turns_among_ties(self._columns["dealer"].astype(np.str_))
