"""The one door to the embedded engine: DuckDB reads, filters, sorts and spills; kernels count.

An engine hands over the rows of a view for given dealers, known before a day, sorted by dealer,
``known_on`` and primary key, in blocks of whole dealers. The order is total, so that neither the
order in which files were ingested nor how they are cut can show in a result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.domain.asof import NEVER, to_day
from features.schema import TABLES
from features.views import KEYS, VIEWS
from features.warehouse import Warehouse, arrow_schema

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Block:
    """The rows of some consecutive dealers.

    Parameters
    ----------
    first : int
        Index of the first dealer of the block.
    start : ndarray of int64, shape (n_dealers + 1,)
        Where the rows of each dealer begin; the last entry is the number of rows.
    dealer : ndarray of int32, shape (n_rows,)
        Dealer of each row, counted from `first`.
    known_on, superseded_on : ndarray of int32, shape (n_rows,)
        Days since 1970; `NEVER` where nothing supersedes.
    columns : mapping of str to ndarray, shape (n_rows,)
        What was asked for; missing numbers are NaN.
    """

    first: int
    start: npt.NDArray[np.int64]
    dealer: Ints
    known_on: Ints
    superseded_on: Ints
    columns: Mapping[str, npt.NDArray[Any]]

    @property
    def n_dealers(self) -> int:
        """Number of dealers in the block."""
        return len(self.start) - 1


class EmbeddedEngine:
    """DuckDB over the live files of a warehouse.

    Parameters
    ----------
    warehouse : Warehouse
        What to read.
    memory_limit : str
        What DuckDB may use before it spills to a temporary folder.
    rows_per_block : int
        About how many rows are held at a time.
    dealers_per_block : int
        How many dealers a block spans at the most, which bounds the kernels' scratch space.
    """

    name = "embedded"

    def __init__(
        self,
        warehouse: Warehouse,
        *,
        memory_limit: str = "2GB",
        rows_per_block: int = 2_000_000,
        dealers_per_block: int = 4_000,
    ) -> None:
        self.warehouse = warehouse
        self.rows_per_block = rows_per_block
        self.dealers_per_block = dealers_per_block
        self._spill = tempfile.TemporaryDirectory(prefix="ffl-risk-spill-")
        self.connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "temp_directory": self._spill.name,
                "preserve_insertion_order": False,
            }
        )
        for table in TABLES:
            self.connection.execute(f"CREATE VIEW {table} AS {self._table_sql(table)}")
        for name, view in VIEWS.items():
            self.connection.execute(f"CREATE VIEW {name} AS {view.sql}")

    def __enter__(self) -> EmbeddedEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and remove what was spilled."""
        self.connection.close()
        self._spill.cleanup()

    def _table_sql(self, table: str) -> str:
        if self.warehouse.has(table):
            return f"SELECT * FROM {self.warehouse.scan(table)}"
        self.connection.register(f"no_{table}", arrow_schema(table).empty_table())
        return f"SELECT * FROM no_{table}"

    def has(self, view: str, *, before: int | None = None) -> bool:
        """Whether every table that `view` reads holds rows, known before a day when one is given.

        A table that begins later is no source yet: that its first row is still to come must not
        show.
        """
        tables = VIEWS[view].needs if view in VIEWS else (view,)
        return all(self._begins(table) < (NEVER if before is None else before) for table in tables)

    def _begins(self, table: str) -> int:
        if not self.warehouse.has(table):
            return int(NEVER)
        first = date.fromisoformat(self.warehouse.manifest["tables"][table]["min_known_on"])
        return to_day(first)

    def query(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Answer `sql` over the views and over Arrow tables given by name.

        All versions of all rows are visible: the query itself must cut time.
        """
        for name, table in tables.items():
            self.connection.register(name, table)
        try:
            return self.connection.execute(sql).to_arrow_table()
        finally:
            for name in tables:
                self.connection.unregister(name)

    def blocks(
        self, view: str, columns: Mapping[str, str], *, dealers: Sequence[str], before: int
    ) -> Iterator[Block]:
        """Yield the rows of `view` known before a day, in blocks of whole dealers.

        Parameters
        ----------
        view : str
            A table or a view of `VIEWS`.
        columns : mapping of str to str
            Name to SQL expression over the view's columns; each must give a number.
        dealers : sequence of str
            The dealers, ascending; blocks count them from 0. Together the blocks cover them all.
        before : int
            Day (since 1970) before which a row must be known.
        """
        listed = pa.table(
            {"dealer": pa.array(dealers, pa.string()), "i": np.arange(len(dealers), dtype="i4")}
        )
        wanted = "".join(f", {sql} AS {name}" for name, sql in columns.items())
        keys = ", ".join(f"e.{key}" for key in KEYS[view])
        self.connection.register("wanted_dealers", listed)
        reader = self.connection.execute(
            f"""
            SELECT w.i AS _dealer, (e.known_on - DATE '1970-01-01')::INTEGER AS _known,
                   coalesce((e.superseded_on - DATE '1970-01-01')::INTEGER, {NEVER}) AS _superseded
                   {wanted}
            FROM {view} e JOIN wanted_dealers w ON e.dealer = w.dealer
            WHERE e.known_on < DATE '1970-01-01' + {int(before)}
            ORDER BY w.i, e.known_on, {keys}, _superseded
            """
        ).to_arrow_reader(min(self.rows_per_block, 1_000_000))
        yield from self._cut(reader, len(dealers))

    def _cut(self, reader: pa.RecordBatchReader, n_dealers: int) -> Iterator[Block]:
        """Gather batches until a block is full, then hand over its whole dealers."""
        first = 0
        held: list[pa.RecordBatch] = []
        n_held = 0
        for batch in reader:
            held.append(batch)
            n_held += batch.num_rows
            while n_held >= self.rows_per_block:
                table = pa.Table.from_batches(held)
                dealer = table["_dealer"].to_numpy()
                last = int(dealer[-1])  # its rows may go on in the next batch
                end = min(last, first + self.dealers_per_block)
                n_rows = int(np.searchsorted(dealer, np.int32(end)))
                if end == first:
                    break  # one dealer fills the block: go on until it is whole
                yield _block(table.slice(0, n_rows), first, end)
                held = table.slice(n_rows).to_batches()
                n_held = table.num_rows - n_rows
                first = end
        table = pa.Table.from_batches(held, schema=reader.schema)
        while first < n_dealers:
            end = min(n_dealers, first + self.dealers_per_block)
            n_rows = int(np.searchsorted(table["_dealer"].to_numpy(), np.int32(end)))
            yield _block(table.slice(0, n_rows), first, end)
            table = table.slice(n_rows)
            first = end


def _block(table: pa.Table, first: int, end: int) -> Block:
    arrays = {name: _numbers(table[name]) for name in table.column_names}
    dealer = (arrays.pop("_dealer") - first).astype(np.int32)
    start = np.searchsorted(dealer, np.arange(end - first + 1, dtype=np.int32))
    known = arrays.pop("_known").astype(np.int32)
    superseded = arrays.pop("_superseded").astype(np.int32)
    return Block(first, start.astype(np.int64), dealer, known, superseded, arrays)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a writable contiguous array; a missing number is NaN."""
    if column.null_count:
        column = column.cast(pa.float64())
    return np.ascontiguousarray(column.to_numpy())
