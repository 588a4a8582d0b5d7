"""The stored form of a table: its Arrow schema, and how files older than a column are read.

A batch is immutable. One that was written before the contract knew a column lacks it; its rows
have no value there, so that a table may grow without a warehouse having to be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.schema import STORED_COLUMNS, TABLES, Column
from features.sql import literal, quoted

_ARROW: Final = {
    "string": pa.string(),
    "date": pa.date32(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}
_SQL: Final = {
    "string": "VARCHAR",
    "date": "DATE",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
}


def stored_columns(table: str) -> list[str]:
    """Return the columns of a batch, in order."""
    return [column.name for column in (*TABLES[table].columns, *STORED_COLUMNS)]


def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of the stored form of `table`."""

    def field(column: Column) -> pa.Field:
        kind = pa.int32() if column.name == "source_id" else _ARROW[column.kind]
        return pa.field(column.name, kind)

    return pa.schema([field(c) for c in (*TABLES[table].columns, *STORED_COLUMNS)])


def no_rows_sql(table: str) -> str:
    """Return the query of a table of which no row is stored."""
    columns = (*TABLES[table].columns, *STORED_COLUMNS)
    nulls = (f"CAST(NULL AS {_SQL[c.kind]}) AS {quoted(c.name)}" for c in columns)
    return f"SELECT {', '.join(nulls)} WHERE false"


def scan_table(table: str, files: Sequence[str], *, with_file: bool = False) -> str:
    """Return the SQL relation that reads `files` of `table`, every column of the contract in it.

    Parameters
    ----------
    table : str
        The table.
    files : sequence of str
        Its files, at least one.
    with_file : bool
        Whether to add the column ``filename``.
    """
    options = "hive_partitioning=false" + (", filename=true" if with_file else "")
    names = ", ".join(map(literal, files))
    missing = [c for c in TABLES[table].columns if any(c.name not in columns_of(f) for f in files)]
    if not missing:
        return f"read_parquet([{names}], {options})"
    nulls = ", ".join(f"CAST(NULL AS {_SQL[c.kind]}) AS {quoted(c.name)}" for c in missing)
    return (
        f"(SELECT * FROM read_parquet([{names}], {options}, union_by_name=true) "
        f"UNION ALL BY NAME SELECT {nulls} WHERE false)"
    )


@lru_cache(maxsize=4096)
def columns_of(file: str) -> frozenset[str]:
    """Return the columns of a batch; its file never changes."""
    return frozenset(pq.read_schema(file).names)
