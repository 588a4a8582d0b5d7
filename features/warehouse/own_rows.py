"""The rows of one dealer, taken out of the files once for all that is asked of them.

A question about one dealer is quick; to find its rows in the nation's files is not, nor is making
a database to ask in. A process has one such database, and each table is looked through once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from features.abandonment import ended_by
from features.schema import TABLES
from features.sql import literal
from features.warehouse.manifest import WarehouseMissingError
from features.warehouse.reading import Warehouse
from features.warehouse.stored import no_rows_sql

if TYPE_CHECKING:
    import duckdb

# Which rows are a dealer's by another record that they name: that record's table, and its key.
JOINED: Final = {
    "violations": ("inspections", "inspection_id"),
    "ballistic_leads": ("traces", "trace_id"),
    "seizures": ("traces", "trace_id"),
}
# In which file and line a row came: dear to take out, and nothing about a dealer.
_NOT_ASKED: Final = "source_id, source_line"


class OwnRows:
    """A warehouse as one dealer's own rows show it: all versions of each, of every table.

    It answers `has` and `scan` as a `Warehouse` does. One thread uses it at a time.

    Parameters
    ----------
    path : Path
        Where the warehouse is; without one there, no table has rows.
    dealer : str
        Whose rows.
    """

    def __init__(self, path: Path, dealer: str) -> None:
        self.path = path
        self.dealer = dealer
        try:
            self.warehouse: Warehouse | None = Warehouse.open(path)
        except WarehouseMissingError:
            self.warehouse = None
        self._cursor = open_database().cursor()
        self._taken: set[str] = set()

    def __enter__(self) -> OwnRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the rows."""
        self._cursor.close()

    def has(self, table: str) -> bool:
        """Whether any row of `table` is stored, of whatever dealer."""
        return self.warehouse is not None and self.warehouse.has(table)

    def has_before(self, table: str, day: date) -> bool:
        """Whether any row of `table`, of whatever dealer, is known before a day."""
        if self.warehouse is None or not self.warehouse.has(table):
            return False
        first = self.warehouse.manifest["tables"][table]["min_known_on"]
        return date.fromisoformat(first) < day

    def scan(self, table: str) -> str:
        """Return the SQL relation of the dealer's rows of `table`; of a table of no dealer, all."""
        if self.warehouse is None or not self.warehouse.has(table):
            return f"({no_rows_sql(table)})"
        if "dealer" not in TABLES[table].names and table not in JOINED:
            return self.warehouse.scan(table)
        if table not in self._taken:
            self.query(
                f"CREATE TEMP TABLE own_{table} AS SELECT * EXCLUDE ({_NOT_ASKED}) "
                f"FROM {self.warehouse.scan(table)} WHERE {self._condition(table)}"
            )
            self._taken.add(table)
        return f"own_{table}"

    def _condition(self, table: str) -> str:
        own = f"dealer = {literal(self.dealer)}" if "dealer" in TABLES[table].names else "FALSE"
        by, key = JOINED.get(table, ("", ""))
        if not by or not self.has(by):
            return own
        joined = f"{key} IN (SELECT {key} FROM {self.scan(by)})"
        return joined if own == "FALSE" else f"{own} OR (dealer IS NULL AND {joined})"

    def query(self, sql: str, given: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Answer `sql` over what `scan` returns; interrupted when nobody waits for it any more."""
        with ended_by(self._cursor.interrupt):
            return self._cursor.execute(sql, given)


@contextmanager
def own_rows(warehouse: Path | OwnRows, dealer: str) -> Iterator[OwnRows]:
    """Give a dealer's rows: those that are given, or for the block those of the warehouse there."""
    if isinstance(warehouse, OwnRows):
        yield warehouse
        return
    with OwnRows(warehouse, dealer) as own:
        yield own


@cache
def open_database() -> duckdb.DuckDBPyConnection:
    """Return the database of this process; what a cursor makes in it no other cursor sees."""
    import duckdb  # commands that ask of no dealer start without it

    database = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": "1GB",
            "temp_directory": "",
            "enable_external_file_cache": False,  # the system keeps the files' pages already
        }
    )
    database.execute("SET parquet_metadata_cache = true")  # a batch never changes
    return database
