"""The fingerprint of a table's content: values, why some are missing, definitions and warehouse."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.signals.signal import Reasons, Signal


def fingerprint_of(
    frame: pd.DataFrame,
    columns: Iterable[tuple[npt.NDArray[np.float32], Reasons]],
    signals: Sequence[Signal],
    warehouse: str,
) -> str:
    """Return the fingerprint of signals of dealers and dates, the same on any engine and machine.

    Parameters
    ----------
    frame : DataFrame of shape (n, …)
        ``dealer`` and ``as_of``.
    columns : iterable of (array, array), each of shape (n,)
        Each signal's values and reasons, in the order of `signals`.
    signals : sequence of Signal
    warehouse : str
        Fingerprint of the warehouse that they were built from.
    """
    digest = hashlib.sha256(warehouse.encode())
    digest.update(_definitions(tuple(signals)))
    digest.update(_lines(frame["dealer"]))
    digest.update(frame["as_of"].to_numpy().astype("datetime64[D]").astype("<i8").tobytes())
    for value, reason in columns:
        plain = np.where(np.isnan(value), np.float32(np.nan), value + np.float32(0.0))
        digest.update(plain.astype("<f4").tobytes())
        digest.update(reason.tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _definitions(signals: tuple[Signal, ...]) -> bytes:
    return json.dumps([dataclasses.asdict(s) for s in signals], sort_keys=True).encode()


def _lines(words: pd.Series) -> pa.Buffer:
    """Join words by line feeds; one buffer, where Python would make every word an object."""
    found = pa.array(words).cast(pa.large_string())
    column = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    whole = pa.LargeListArray.from_arrays(pa.array([0, len(column)], pa.int64()), column)
    return pc.binary_join(whole, pa.scalar("\n", pa.large_string()))[0].as_buffer()
