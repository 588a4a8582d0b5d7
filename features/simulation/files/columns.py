"""Arrow columns out of arrays, and the schema that canonical files are written with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.schema import TABLES

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_TYPES: Final = {
    # Not a dictionary: one with repeated values is written with stray bytes of memory.
    "string": pa.string(),
    "date": pa.date32(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}


def schema_of(table: str) -> pa.Schema:
    """Return the Arrow schema that a canonical file of `table` is written with."""
    return pa.schema([(c.name, _TYPES[c.kind]) for c in TABLES[table].columns])


def coded(codes: Array, values: Array | list[str], is_null: Mask | None = None) -> pa.Array:
    """Return texts by code; negative codes and those of `is_null` are null."""
    missing = codes < 0 if is_null is None else is_null | (codes < 0)
    index = pa.array(codes.astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(index, pa.array(values, pa.string()))


def days(values: Array, is_null: Mask | None = None) -> pa.Array:
    """Return dates from days since 1970-01-01."""
    return pa.array(values.astype(np.int32), mask=is_null).view(pa.date32())


def numbered(prefix: str, numbers: Array) -> pa.Array:
    """Return ids such as ``T000000012``."""
    text = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise(prefix, text, "")


def tokens(hashes: Array, is_null: Mask | None = None) -> pa.Array:
    """Return opaque tokens from 64-bit hashes."""
    text = pa.array(hashes.astype(np.uint64), mask=is_null).cast(pa.string())
    return pc.binary_join_element_wise("p", text, "")


def table_of(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Return a table in the order of the contract; a column not given is null throughout."""
    schema = schema_of(name)
    n = len(next(iter(columns.values())))
    arrays = []
    for field in schema:
        given = columns.get(field.name)
        if given is None:
            arrays.append(pa.nulls(n, field.type))
            continue
        array = given if isinstance(given, pa.Array | pa.ChunkedArray) else pa.array(given)
        arrays.append(array if array.type == field.type else array.cast(field.type))
    return pa.table(arrays, schema=schema)


def mixed(*parts: Array | int) -> npt.NDArray[np.uint64]:
    """Return one 64-bit hash per row of whole numbers (SplitMix64), the same on every machine."""
    h: npt.NDArray[np.uint64] = np.full(1, 0x9E3779B97F4A7C15, dtype=np.uint64)
    for part in parts:
        z = (h ^ np.asarray(part).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h = z ^ (z >> np.uint64(31))
    return h
