"""The one door to the embedded engine: DuckDB reads, filters, sorts and spills; kernels count.

An engine hands over the rows of a view for given dealers, known before a day, in blocks of whole
dealers. Most kernels count, so that the rows of a dealer may come in any order and only have to be
put together, which one counting pass does. A kernel that asks for the last row gets them in a total
order (``known_on``, primary key, version), so that neither the order in which files were ingested
nor how they are cut can show in a result.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.abandonment import ended_by
from features.arrays import Ints32
from features.domain.asof import NEVER, day_sql, known_sql, number_sql, to_day
from features.engine.views import KEYS, VIEWS
from features.reference.attribution import traces_sql
from features.reference.legal.citation import CITED_SQL
from features.schema import TABLES
from features.sql import literal
from features.warehouse import Warehouse
from features.warehouse.stored import arrow_schema

_DAYS: Final = ("_known", "_superseded")
# Views in which a dealer is worked out; by this column the files' statistics find a range of them.
_NAMED: Final = frozenset({"traces", "traces_home"})
# Tables of which a row that names nobody may still be a dealer's, by the trace that it names. Of
# the others the files' statistics find the few rows.
_NAMED_BY_OTHERS: Final = frozenset(
    name
    for name, table in TABLES.items()
    if name != "traces" and any(c.name == "dealer" and not c.is_required for c in table.columns)
)
# So few dealers are looked up in the files by name, once.
_FEW_DEALERS: Final = 200
# Blocks whose rows are held so: many more than there are threads at work.
_MOST_BLOCKS: Final = 16


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
    dealer: Ints32
    known_on: Ints32
    superseded_on: Ints32
    columns: Mapping[str, npt.NDArray[Any]]

    @property
    def n_dealers(self) -> int:
        """Number of dealers in the block."""
        return len(self.start) - 1

    def parts(self, n_dealers: int) -> Iterator[Block]:
        """Cut the block into blocks of at most `n_dealers` dealers; nothing is copied but codes."""
        for lo in range(0, self.n_dealers, n_dealers):
            hi = min(lo + n_dealers, self.n_dealers)
            rows = slice(int(self.start[lo]), int(self.start[hi]))
            yield Block(
                self.first + lo,
                self.start[lo : hi + 1] - self.start[lo],
                self.dealer[rows] - np.int32(lo),
                self.known_on[rows],
                self.superseded_on[rows],
                {name: column[rows] for name, column in self.columns.items()},
            )


def rows_sql(table: str, rows: str) -> str:
    """Return the query of a table's rows; a trace stands at its dealer where it counts.

    A citation that was taken back is none. The one place where the rules are applied: every signal
    reads these rows.
    """
    if table == "traces":
        return traces_sql(rows)
    return f"SELECT * FROM {rows}" + (f" WHERE {CITED_SQL}" if table == "violations" else "")


class EmbeddedEngine:
    """DuckDB over the live files of a warehouse.

    Parameters
    ----------
    warehouse : Warehouse
        What to read.
    memory_limit : str
        What DuckDB may use before it spills to a temporary folder.
    rows_per_block : int
        About how many rows are held at a time; a dealer with more is held whole.
    dealers_per_block : int
        How many dealers a kernel works on at a time, which bounds its scratch space.
    threads : int, optional
        How many DuckDB may work with; as many as there are cores when None.
    """

    name = "embedded"
    # Families built at a time: while one counts on one core, another reads on the next.
    families_at_once = 2

    def __init__(
        self,
        warehouse: Warehouse,
        *,
        memory_limit: str = "2GB",
        rows_per_block: int = 4_000_000,
        dealers_per_block: int = 2_000,
        threads: int | None = None,
    ) -> None:
        import duckdb  # many that may ask of an engine never do

        self.warehouse = warehouse
        self.rows_per_block = rows_per_block
        self.dealers_per_block = dealers_per_block
        self._spill = tempfile.TemporaryDirectory(prefix="ffl-risk-spill-")
        self.connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "temp_directory": self._spill.name,
                "preserve_insertion_order": False,
                "enable_external_file_cache": False,  # the system keeps the files' pages already
            }
            | ({} if threads is None else {"threads": threads})
        )
        for table in TABLES:
            self._make_table(table)
        self._lock = threading.RLock()
        self._made: set[str] = set()
        self._few: dict[str, dict[str, str]] = {}
        self._cuts: dict[str, list[str]] = {}

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

    def _make_table(self, table: str) -> None:
        if self.warehouse.has(table):
            self.connection.execute(f"DROP TABLE IF EXISTS {table}_none")
            self._expose(table, self.warehouse.scan(table))
        else:
            self._store(f"{table}_none", arrow_schema(table).empty_table())
            self._expose(table, f"{table}_none")

    def _expose(self, table: str, rows: str) -> None:
        """Make the view under which a table is read."""
        self.connection.execute(f"CREATE OR REPLACE VIEW {table} AS {rows_sql(table, rows)}")

    def _store(self, table: str, rows: pa.Table) -> None:
        """Hold rows as a table, which every thread sees; what is registered only one does."""
        self.connection.register("rows", rows)
        self.connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM rows")
        self.connection.unregister("rows")

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

    def make(self, view: str) -> None:
        """Make a view of `VIEWS`, and what it is made of, unless it is there."""
        with self._lock:
            if view not in VIEWS or view in self._made:
                return
            for part in VIEWS[view].parts:
                self.make(part)
            kind = "TABLE" if VIEWS[view].is_kept else "VIEW"
            self.connection.execute(f"CREATE {kind} {view} AS {VIEWS[view].sql}")
            self._made.add(view)

    def query(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Answer `sql` over the tables and over Arrow tables given by name.

        All versions of all rows are visible: the query itself must cut time. Several threads may
        ask at a time. It is interrupted when nobody waits for the work it is a part of.
        """
        with self.connection.cursor() as cursor, ended_by(cursor.interrupt):
            for name, table in tables.items():
                cursor.register(name, table)
            return cursor.execute(sql).to_arrow_table()

    def blocks(
        self,
        view: str,
        columns: Mapping[str, str],
        *,
        dealers: npt.NDArray[np.object_],
        days: range,
        in_order: bool,
    ) -> Iterator[Block]:
        """Yield the rows of `view` known on some days, in blocks of whole dealers.

        Parameters
        ----------
        view : str
            A table or a view of `VIEWS`.
        columns : mapping of str to str
            Name to SQL expression over the view's columns; each must give a number.
        dealers : ndarray of str
            The dealers, ascending; blocks count them from 0. Together the blocks cover them all.
        days : range
            Days (since 1970) on which a row must be known.
        in_order : bool
            Whether the rows of a dealer must come in their total order.
        """
        self.make(view)
        cuts = np.searchsorted(dealers, np.array(self._cut(view), dtype=object))
        bounds = np.unique(np.concatenate(([0], cuts, [len(dealers)])))
        names = pa.array(dealers, pa.string())
        for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            part = names.slice(first, end - first)
            sql = _events_sql(view, columns, days=days, in_order=in_order)
            if len(bounds) == 2 and 0 < len(part) <= _FEW_DEALERS:
                # Of several blocks, each has few dealers with very many rows: not held once more.
                sql = self.of_few(view, part) + sql
            elif len(bounds) > 2:
                # The files are sorted, so that their statistics find a range of dealers.
                ends = " AND ".join(literal(part[at].as_py()) for at in (0, -1))
                column = "named_dealer" if view in _NAMED else "dealer"
                sql = sql.replace("WHERE ", f"WHERE e.{column} BETWEEN {ends} AND ", 1)
            numbers = np.arange(end - first, dtype=np.int32)
            rows = self.query(sql, wanted_dealers=pa.table({"dealer": part, "i": numbers}))
            yield _block(rows, first, end - first, in_order=in_order)

    def of_few(self, view: str, dealers: pa.Array) -> str:
        """Return the clause under which `view` is read from rows of a few dealers alone.

        Their rows are taken out of the files once for all views: each row of a view has the dealer
        of the rows that it is made of, as far as those name one.
        """
        made = VIEWS.get(view)
        named = {view} if made is None else TABLES.keys() & set(re.findall(r"\w+", made.sql))
        parts = [
            f"{table} AS (SELECT * FROM {self._take_out(table, dealers)})"
            for table in sorted(named)
            if "dealer" in TABLES[table].names
        ]
        if made is not None:
            parts.append(f"{view} AS ({made.sql})")
        return f"WITH {', '.join(parts)} "

    def _take_out(self, table: str, dealers: pa.Array) -> str:
        """Hold the rows of a few dealers as a table, and return its name.

        The name is the block's own: another thread may be at the same table of another block.
        """
        names = ", ".join(map(literal, dealers.to_pylist()))
        block = hashlib.sha256(names.encode()).hexdigest()[:16]
        with self._lock:
            if block not in self._few and len(self._few) >= _MOST_BLOCKS:
                self._drop_few(next(iter(self._few)))
            held = self._few.setdefault(block, {})
            if table not in held:
                held[table] = f"{table}_few_{block}"
                own = f"{'named_dealer' if table == 'traces' else 'dealer'} IN ({names})"
                if table in _NAMED_BY_OTHERS:
                    own = f"({own} OR dealer IS NULL)"
                self.connection.execute(
                    f"CREATE OR REPLACE TABLE {held[table]} AS SELECT * FROM {table} WHERE {own}"
                )
            return held[table]

    def _drop_few(self, block: str) -> None:
        """Let go of the rows held of a block."""
        for name in self._few.pop(block).values():
            self.connection.execute(f"DROP TABLE {name}")

    def _cut(self, view: str) -> list[str]:
        """Dealers at which each next block begins, so that each has `rows_per_block` rows."""
        table = VIEWS[view].needs[0] if view in VIEWS else view
        if self._n_rows(table) <= self.rows_per_block:
            return []
        counted = table if "dealer" in TABLES[table].names else view
        if counted not in self._cuts:
            found = self.query(
                f"SELECT dealer, count(*) AS n FROM {counted} WHERE dealer IS NOT NULL "
                "GROUP BY dealer ORDER BY dealer"
            )
            upto = np.cumsum(found["n"].to_numpy()) - 1
            is_first = np.diff(upto // self.rows_per_block, prepend=0) > 0
            self._cuts[counted] = found["dealer"].filter(pa.array(is_first)).to_pylist()
        return self._cuts[counted]

    def _n_rows(self, table: str) -> int:
        entry = self.warehouse.manifest["tables"].get(table)
        return int(entry["n_rows"]) if entry else 0


def _events_sql(view: str, columns: Mapping[str, str], *, days: range, in_order: bool) -> str:
    """Return the query for the rows of ``wanted_dealers`` in `view`."""
    wanted = "".join(f", {sql} AS {name}" for name, sql in columns.items())
    keys = ", ".join(f"e.{key}" for key in KEYS[view] if key != "dealer")
    order = f"ORDER BY _dealer, _known, {keys}, _superseded" if in_order else ""
    return f"""
        SELECT w.i AS _dealer, {number_sql("e.known_on")}::INTEGER AS _known,
               coalesce({number_sql("e.superseded_on")}::INTEGER, {NEVER}) AS _superseded
               {wanted}
        FROM (
            SELECT * FROM {view} e WHERE {known_sql(day_sql(days.stop), row="e")}
            AND NOT {known_sql(day_sql(days.start), row="e")}
        ) e JOIN wanted_dealers w ON e.dealer = w.dealer
        {order}
        """


def _block(table: pa.Table, first: int, n_dealers: int, *, in_order: bool) -> Block:
    """Put the rows of each dealer together."""
    from features.engine import kernels  # compiled: slow to load where nothing is counted

    arrays = {name: _numbers(table[name]) for name in table.column_names}
    dealer = arrays.pop("_dealer")
    start, place = kernels.group(dealer, n_dealers)
    if not in_order:
        arrays = {name: column[place] for name, column in arrays.items()}
        dealer = np.repeat(np.arange(n_dealers, dtype=np.int32), np.diff(start))
    known, superseded = (arrays.pop(n).astype(np.int32, copy=False) for n in _DAYS)
    return Block(first, start, dealer, known, superseded, arrays)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a writable contiguous array; a missing number is NaN."""
    if column.null_count:
        column = column.cast(pa.float64())
    return np.ascontiguousarray(column.to_numpy())
