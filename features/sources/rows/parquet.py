"""Parquet whose columns hold instants: each becomes the day in the zone that the file states.

An instant is a day only in some zone. That of the machine must not count, or the same file makes
another warehouse on another machine: the zone is the one written with the column, UTC where there
is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import SourceError
from features.sources.rows.delimited import DAMAGED, LINE, apart

# The reader of all other files numbers rows under this name.
ROW_NUMBER: Final = "file_row_number"


def readable_schema(path: Path, name: str) -> pa.Schema:
    """Return the columns of the file called `name`.

    Raises
    ------
    SourceError
        When one holds numbers that cannot be read.
    """
    schema = pq.read_schema(path)
    wide = [field.name for field in schema if pa.types.is_decimal256(field.type)]
    if wide:
        raise SourceError(
            f"{name} holds numbers of more digits than can be read.",
            found=", ".join(wide),
            expected="at most 38 digits",
            fix="write the column with fewer digits, or as text",
        )
    return pa.schema([field.with_name(apart(field.name)) for field in schema])


def names_inside(kind: pa.DataType) -> Iterator[str]:
    """Yield the names of fields within the values of a column."""
    for field in map(kind.field, range(kind.num_fields)) if pa.types.is_nested(kind) else ():
        yield field.name
        yield from names_inside(field.type)


def is_read_here(path: Path) -> bool:
    """Whether a file holds instants with a zone, or columns called like those that are added."""
    return any(
        _is_instant(field.type) or field.name.lower() in (LINE, DAMAGED, ROW_NUMBER)
        for field in pq.read_schema(path)
    )


def open_days(path: Path) -> pa.RecordBatchReader:
    """Open the rows of `path`, instants as dates, with ``source_line`` and ``is_damaged``."""
    file = pq.ParquetFile(path)
    fields = [_as_day(field) for field in file.schema_arrow]
    schema = pa.schema([*fields, (LINE, pa.int64()), (DAMAGED, pa.bool_())])
    return pa.RecordBatchReader.from_batches(schema, _batches(file, schema))


def _batches(file: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    first = 1
    for batch in file.iter_batches():
        columns = [_day(column) for column in batch.columns]
        lines = pa.array(range(first, first + len(batch)), pa.int64())
        first += len(batch)
        is_damaged = pa.array([False]).take(pa.array([0] * len(batch), pa.int32()))
        yield pa.RecordBatch.from_arrays([*columns, lines, is_damaged], schema=schema)


def _is_instant(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is not None


def _as_day(field: pa.Field) -> pa.Field:
    field = field.with_name(apart(field.name))
    return field.with_type(pa.date32()) if _is_instant(field.type) else field


def _day(column: pa.Array) -> pa.Array:
    """Return the dates of instants; any other column as it is."""
    if not _is_instant(column.type):
        return column
    return pc.floor_temporal(pc.local_timestamp(column), unit="day").cast(pa.date32())
