"""The one door to the embedded engine: DuckDB reads, filters, sorts and spills; kernels count.

An engine hands over the rows of a view for given dealers, known before a day, sorted by dealer,
``known_on`` and primary key, in blocks of whole dealers. The order is total, so that neither the
order in which files were ingested nor how they are cut can show in a result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.domain.asof import NEVER
from features.schema import TABLES
from features.warehouse import Warehouse, arrow_schema

Ints = npt.NDArray[np.int32]

# Views over the tables in all their versions. A row that joins two tables is known when both
# are, and superseded when either is.
_JOINED = """
    SELECT {columns}, greatest(l.known_on, r.known_on) AS known_on,
           least(l.superseded_on, r.superseded_on) AS superseded_on
    FROM {left} l JOIN {right} r USING ({key})
    WHERE greatest(l.known_on, r.known_on) <= coalesce(least(l.superseded_on, r.superseded_on),
                                                       DATE '9999-12-31')
"""
VIEWS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "citations": (
        ("violations", "inspections"),
        _JOINED.format(
            columns="l.* EXCLUDE (known_on, superseded_on), r.dealer, r.opened_on, r.closed_on, r.kind",
            left="violations",
            right="inspections",
            key="inspection_id",
        ),
    ),
    # The state of the premises as listed when a trace became known; null before any listing.
    "traces_home": (
        ("traces",),
        """
        SELECT t.*, h.state AS home_state
        FROM traces t LEFT JOIN (
            SELECT dealer, state, known_on AS since,
                   lead(known_on, 1, DATE '9999-12-31') OVER d AS until
            FROM (
                SELECT dealer, known_on, arg_max(premises_state, listed_on) AS state,
                       lag(arg_max(premises_state, listed_on)) OVER d AS before
                FROM licenses GROUP BY dealer, known_on
                WINDOW d AS (PARTITION BY dealer ORDER BY known_on)
            )
            WHERE state IS DISTINCT FROM before
            WINDOW d AS (PARTITION BY dealer ORDER BY known_on)
        ) h ON h.dealer = t.dealer AND t.known_on >= h.since AND t.known_on < h.until
        """,
    ),
    # The dealer as the seizure report names it, else as the trace of the firearm found it.
    "seizures_known": (
        ("seizures",),
        """
        SELECT * FROM seizures WHERE dealer IS NOT NULL
        UNION ALL BY NAME
        SELECT s.* EXCLUDE (dealer, known_on, superseded_on), t.dealer,
               greatest(s.known_on, t.known_on) AS known_on,
               least(s.superseded_on, t.superseded_on) AS superseded_on
        FROM seizures s JOIN traces t USING (trace_id)
        WHERE s.dealer IS NULL AND t.dealer IS NOT NULL
          AND greatest(s.known_on, t.known_on)
              <= coalesce(least(s.superseded_on, t.superseded_on), DATE '9999-12-31')
        """,
    ),
    # A multiple sale and a trace that led back to the same buyer, dealer and sale.
    "multiple_sales_traced": (
        ("multiple_sales", "traces"),
        """
        SELECT m.report_id, t.trace_id, m.dealer, m.sold_on, t.recovered_on,
               greatest(m.known_on, t.known_on) AS known_on,
               least(m.superseded_on, t.superseded_on) AS superseded_on
        FROM multiple_sales m JOIN traces t
          ON t.dealer = m.dealer AND t.purchaser_token = m.purchaser_token
         AND t.sold_on BETWEEN m.sold_on - 7 AND m.sold_on + 7
        WHERE greatest(m.known_on, t.known_on)
              <= coalesce(least(m.superseded_on, t.superseded_on), DATE '9999-12-31')
        """,
    ),
    "leads": (
        ("ballistic_leads", "traces"),
        _JOINED.format(
            columns="l.* EXCLUDE (known_on, superseded_on), r.dealer",
            left="ballistic_leads",
            right="traces",
            key="trace_id",
        ),
    ),
}
_KEYS: Final = {
    **{name: table.key for name, table in TABLES.items()},
    "citations": ("inspection_id", "citation"),
    "traces_home": ("trace_id",),
    "seizures_known": ("seizure_id",),
    "multiple_sales_traced": ("report_id", "trace_id"),
    "leads": ("lead_id", "trace_id"),
}


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
        for name, (_, sql) in VIEWS.items():
            self.connection.execute(f"CREATE VIEW {name} AS {sql}")

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

    def has(self, view: str) -> bool:
        """Whether the warehouse holds every table that `view` reads."""
        tables = VIEWS[view][0] if view in VIEWS else (view,)
        return all(self.warehouse.has(table) for table in tables)

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
        keys = ", ".join(f"e.{key}" for key in _KEYS[view])
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
                n_rows = int(np.searchsorted(dealer, end))
                if end == first:
                    break  # one dealer fills the block: go on until it is whole
                yield _block(table.slice(0, n_rows), first, end)
                held = table.slice(n_rows).to_batches()
                n_held = table.num_rows - n_rows
                first = end
        table = pa.Table.from_batches(held, schema=reader.schema)
        while first < n_dealers:
            end = min(n_dealers, first + self.dealers_per_block)
            n_rows = int(np.searchsorted(table["_dealer"].to_numpy(), end))
            yield _block(table.slice(0, n_rows), first, end)
            table = table.slice(n_rows)
            first = end


def _block(table: pa.Table, first: int, end: int) -> Block:
    arrays = {name: _numbers(table[name]) for name in table.column_names}
    dealer = (arrays.pop("_dealer") - first).astype(np.int32)
    start = np.searchsorted(dealer, np.arange(end - first + 1))
    known = arrays.pop("_known").astype(np.int32)
    superseded = arrays.pop("_superseded").astype(np.int32)
    return Block(first, start.astype(np.int64), dealer, known, superseded, arrays)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a writable contiguous array; a missing number is NaN."""
    if column.null_count:
        column = column.cast(pa.float64())
    return np.ascontiguousarray(column.to_numpy())
