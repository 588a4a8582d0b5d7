"""Defects put in on purpose, each written down with what an ingest should make of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.simulation.files.write import TRUTH


class DirtBook:
    """Gathers the defects of a month until they are written to ``truth/dirt.parquet``."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(
        self, table: str, keys: Sequence[str] | npt.NDArray[Any], kind: str, ingest: str
    ) -> None:
        """Record defects of one kind.

        Parameters
        ----------
        table : str
            The table whose rows are defective.
        keys : sequence of str
            Primary keys of the rows; key columns are joined by a blank.
        kind : str
            What is wrong.
        ingest : str
            ``stored``, ``duplicate``, ``superseded``, or the reason code of the reject.
        """
        n = len(keys)
        texts = (
            keys if isinstance(keys, pa.Array | pa.ChunkedArray) else pa.array(keys, pa.string())
        )
        same = [
            pa.array(np.full(n, text, dtype=object), pa.string()) for text in (table, kind, ingest)
        ]
        self._parts.append(pa.table([same[0], texts, same[1], same[2]], schema=TRUTH["truth/dirt"]))

    def take(self) -> pa.Table:
        """Return what was gathered since the last call."""
        parts, self._parts = self._parts, []
        return pa.concat_tables(parts) if parts else TRUTH["truth/dirt"].empty_table()
