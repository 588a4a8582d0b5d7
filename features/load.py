"""One file into the draft of a warehouse: read, check, decide about versions, write sorted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from features.checks import CheckQuery, check_query
from features.domain.asof import add_months
from features.errors import SourceError, WarehouseError
from features.manifest import REJECTS, Draft
from features.schema import STORED_COLUMNS, TABLES
from features.sources.delimited import LINE, OddRows, rows
from features.sources.files import SourceFile
from features.sources.layout import Layout, Plan, literal, quoted
from features.sources.privacy import (
    OPAQUE,
    READABLE,
    refuse_readable_tokens,
)
from features.summary import TableCounts
from features.versions import Resolution, resolve

TOKEN_MONTHS: Final = 24  # purchaser tokens of multiple sales are dropped this long after the sale
_FORMAT: Final = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880)"

Step = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Load:
    """One file to load.

    Parameters
    ----------
    source : SourceFile
        The file.
    layout : Layout
        What it is.
    names : list of str
        Its columns.
    number : int
        Its index among the manifest's sources.
    """

    source: SourceFile
    layout: Layout
    names: list[str]
    number: int


class Loader:
    """Loads files, one after the other, into a draft.

    Parameters
    ----------
    con : duckdb connection
        With a memory limit and a folder to spill to.
    draft : Draft
        The warehouse about to change.
    max_rejects : float
        Share of bad rows above which a file is refused.
    today : date
        The day of ingest.
    """

    def __init__(self, con: Any, draft: Draft, max_rejects: float, today: date) -> None:
        self.con = con
        self.draft = draft
        self.max_rejects = max_rejects
        self.today = today
        con.execute(_REJECTS_TABLE)

    def load(self, load: Load, step: Step) -> tuple[list[TableCounts], list[str]]:
        """Load one file; return the counts of each of its tables, and notes.

        Raises
        ------
        SourceError
            When the file is refused.
        WarehouseError
            When disk or memory do not suffice.
        """
        try:
            return self._load(load, step)
        except duckdb.Error as error:
            raise _explained(error, load, self.draft.path) from error

    def _load(self, load: Load, step: Step) -> tuple[list[TableCounts], list[str]]:
        plans = load.layout.plans
        odd, raw_text = self._open(load, is_read_often=len(plans) > 1)
        counts, notes = [], list(load.layout.notes)
        for plan in plans:
            with step(f"check {plan.table}"):
                query = self._check(plan, raw_text)
                odd_rows = odd if odd and plan is plans[0] else None
                n_odd = self._reject(load, plan, query, odd_rows)
                notes += self._retain(load, plan)
            with step(f"store {plan.table}"):
                resolution = resolve(self.con, plan.table, self._live(plan.table))
                self._reject_conflicts(load, plan, resolution)
                counts.append(self._count(load, plan, resolution, n_odd))
                self._refuse_bad(load, counts[-1])
                self._store(load, plan, resolution)
        if odd and odd.line and not load.source.ends_in_newline:
            notes.append("cut off in its last row, which is among the rejects")
        return counts, notes

    def _open(self, load: Load, *, is_read_often: bool) -> tuple[OddRows | None, tuple[str, ...]]:
        """Make the rows of the file readable as ``raw``; return odd rows and text columns."""
        self.con.execute("DROP VIEW IF EXISTS raw; DROP TABLE IF EXISTS raw_rows")
        form = load.layout.form
        if form is None:
            file = literal(str(load.source.path))
            self.con.execute(
                f"CREATE TEMP VIEW raw AS SELECT * EXCLUDE (file_row_number), "
                f"file_row_number + 1 AS {LINE} "
                f"FROM read_parquet({file}, file_row_number=true, hive_partitioning=false)"
            )
            return None, ()
        odd = OddRows(len(load.names), int(form.has_header) + form.n_rule_lines)
        reader = rows(load.source, form, load.names, odd)
        if not is_read_often:
            self.con.register("raw", reader)
        else:
            self.con.register("raw_reader", reader)
            self.con.execute("CREATE TEMP TABLE raw_rows AS SELECT * FROM raw_reader")
            self.con.execute("CREATE TEMP VIEW raw AS SELECT * FROM raw_rows")
        return odd, tuple(load.names)

    def _check(self, plan: Plan, raw_text: tuple[str, ...]) -> CheckQuery:
        """Run the checks into the table ``checked``."""
        types = self._types(plan)
        if plan.table == "violations":
            self._know_inspections()
        query = check_query(plan, types, raw_text, self.today)
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE checked AS {query.sql}")
        self.con.execute(
            "CREATE OR REPLACE TEMP VIEW good AS SELECT rowid AS row, * FROM checked "
            "WHERE fault = 0 AND NOT is_set_aside"
        )
        return query

    def _types(self, plan: Plan) -> dict[str, str]:
        selected = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in plan.columns.items())
        described = self.con.execute(
            f"DESCRIBE SELECT {selected} FROM {plan.rows} AS source_rows"
        ).fetchall()
        return {row[0]: row[1] for row in described}

    def _know_inspections(self) -> None:
        """Make the table of inspections and of the day on which each one's findings were known."""
        live = self._live("inspections")
        if not live:
            source = "(SELECT '' AS inspection_id, DATE '1900-01-01' AS known_on WHERE false)"
            day = "known_on"
        else:
            source = _scan(live)
            # Citations of an inspection that is still open are known since they were ingested.
            day = (
                "coalesce(min(known_on) FILTER (closed_on IS NOT NULL OR outcome <> 'none'), "
                f"DATE {literal(self.today.isoformat())})"
            )
        group = " GROUP BY inspection_id" if live else ""
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE known_inspections AS SELECT inspection_id AS "
            f"known_inspection_id, {day} AS inspection_known_on FROM {source}{group}"
        )

    def _reject(self, load: Load, plan: Plan, query: CheckQuery, odd: OddRows | None) -> int:
        """Write the bad rows down; return how many had a wrong number of fields."""
        reasons = " ".join(f"WHEN {n} THEN '{r.reason}'" for n, r in enumerate(query.rules, 1))
        columns = " ".join(f"WHEN {n} THEN '{r.column}'" for n, r in enumerate(query.rules, 1))
        self.con.execute(
            f"INSERT INTO rejected SELECT '{plan.table}', {load.number}, "
            f"{literal(load.source.name)}, {LINE}, CASE fault {reasons} END, "
            f"nullif(CASE fault {columns} END, ''), left(fault_value, 200) "
            "FROM checked WHERE fault > 0"
        )
        if odd is None or not odd.line:
            return 0
        # Only the number of fields is kept: the text of such a row may hold what is never stored.
        lines = pa.table({"line": odd.line, "n_fields": odd.n_fields})
        self.con.register("odd_rows", lines)
        self.con.execute(
            f"INSERT INTO rejected SELECT '{plan.table}', {load.number}, "
            f"{literal(load.source.name)}, line, CASE WHEN n_fields > {odd.n_columns} "
            f"THEN 'too_many_fields' ELSE 'missing_required' END, NULL, "
            f"n_fields || ' fields instead of {odd.n_columns}' FROM odd_rows"
        )
        self.con.unregister("odd_rows")
        return len(odd.line)

    def _retain(self, load: Load, plan: Plan) -> list[str]:
        """Refuse readable tokens; drop those of multiple sales whose time is over."""
        if "purchaser_token" not in plan.columns:
            return []
        n_readable = self.con.execute(
            "SELECT count(*) FROM checked WHERE purchaser_token IS NOT NULL AND "
            f"(NOT regexp_matches(purchaser_token, '{OPAQUE}') "
            f"OR regexp_matches(purchaser_token, '{READABLE}'))"
        ).fetchone()[0]
        refuse_readable_tokens(load.source.name, n_readable)
        if plan.table != "multiple_sales":
            return []
        n_dropped = self.con.execute(
            "UPDATE checked SET purchaser_token = NULL WHERE "
            f"{expired_sql(self.today, self._live('traces'))}"
        ).fetchone()[0]
        if not n_dropped:
            return []
        return [f"{n_dropped:,} purchaser tokens dropped: sold over two years ago, never traced"]

    def _reject_conflicts(self, load: Load, plan: Plan, resolution: Resolution) -> None:
        if not resolution.n_conflict:
            return
        keys = " || ' ' || ".join(f"CAST(c.{quoted(k)} AS VARCHAR)" for k in TABLES[plan.table].key)
        self.con.execute(
            f"INSERT INTO rejected SELECT '{plan.table}', {load.number}, "
            f"{literal(load.source.name)}, {LINE}, 'duplicate_key_conflict', "
            f"'{TABLES[plan.table].key[0]}', {keys} FROM checked c "
            "JOIN resolved r ON c.rowid = r.row WHERE r.verdict = 'conflict'"
        )

    def _count(self, load: Load, plan: Plan, resolution: Resolution, n_odd: int) -> TableCounts:
        n_checked, n_set_aside = self.con.execute(
            "SELECT count(*), count(*) FILTER (is_set_aside AND fault = 0) FROM checked"
        ).fetchone()
        reasons = self.con.execute(
            f"SELECT reason, count(*) FROM rejected WHERE table_name = '{plan.table}' "
            f"AND source = {load.number} GROUP BY reason ORDER BY 2 DESC, 1"
        ).fetchall()
        return TableCounts(
            plan.table,
            n_checked + n_odd,
            resolution.n_stored,
            resolution.n_superseded,
            resolution.n_duplicate,
            n_set_aside,
            sum(n for _, n in reasons),
            dict(reasons),
        )

    def _refuse_bad(self, load: Load, counts: TableCounts) -> None:
        if counts.n_rejected <= self.max_rejects * counts.n_read:
            return
        examples = self.con.execute(
            "SELECT reason, any_value(column_name), any_value(value), min(source_line), count(*) "
            f"FROM rejected WHERE source = {load.number} AND table_name = '{counts.table}' "
            "GROUP BY reason ORDER BY 5 DESC LIMIT 5"
        ).fetchall()
        told = "; ".join(
            f"{n:,} {reason}"
            + (f" in {column}" if column else "")
            + (f", such as {value!r}" if value else "")
            + f" (first in line {line})"
            for reason, column, value, line, n in examples
        )
        share = counts.n_rejected / counts.n_read
        raise SourceError(
            f"{load.source.name} is refused: {share:.1%} of its {counts.n_read:,} rows of "
            f"{counts.table} are bad; nothing of it was stored.",
            found=told,
            expected=f"at most {self.max_rejects:.1%}; dates as YYYY-MM-DD",
            fix="correct the file or read it through --mapping; raise --max-rejects only if so "
            "many bad rows are expected",
        )

    def _live(self, table: str) -> list[str]:
        return [str(self.draft.location(f)) for f in self.draft.files(table) if f["n_rows"]]

    def _store(self, load: Load, plan: Plan, resolution: Resolution) -> None:
        """Write the new rows, then the batches that hold rows which they supersede."""
        if resolution.n_stored + resolution.n_superseded:
            names = ", ".join(quoted(name) for name in TABLES[plan.table].names)
            self._write(
                plan.table,
                f"SELECT {names}, g.known_on AS known_on, r.superseded_on AS superseded_on, "
                f"{load.number}::INTEGER AS source, {LINE} "
                f"FROM good g LEFT JOIN (SELECT row, verdict, superseded_on FROM resolved) r "
                "ON g.row = r.row WHERE r.row IS NULL OR r.verdict = 'stored'",
            )
        by_place = {str(self.draft.location(f)): f for f in self.draft.files(plan.table)}
        for file in resolution.rewritten:
            self._end(plan.table, file, by_place[file]["path"])

    def _end(self, table: str, file: str, name: str) -> None:
        """Write the batch in `file` anew, with the days on which its rows were superseded."""
        key = [*TABLES[table].key, "known_on"]
        same = " AND ".join(f"s.{quoted(k)} = e.{quoted(k)}" for k in key)
        stored = [c.name for c in (*TABLES[table].columns, *STORED_COLUMNS)]
        columns = ", ".join(
            "coalesce(e.superseded_on, s.superseded_on) AS superseded_on"
            if name == "superseded_on"
            else f"s.{quoted(name)} AS {quoted(name)}"
            for name in stored
        )
        ended = f"(SELECT * FROM ended WHERE file = {literal(file)})"
        self._write(table, f"SELECT {columns} FROM {_scan([file])} s LEFT JOIN {ended} e ON {same}")
        self.draft.drop(table, name)

    def _write(self, table: str, query: str) -> None:
        """Write the rows of `query` as the next batch of `table`, sorted."""
        name, staged = self.draft.next_file(table)
        self.con.execute(
            f"COPY (SELECT * FROM ({query}) ORDER BY {', '.join(sort_key(table))}) "
            f"TO {literal(str(staged))} {_FORMAT}"
        )
        self.draft.add(table, name, staged, self._ranges(staged))

    def _ranges(self, staged: Path) -> dict[str, Any]:
        n, first, last, n_superseded = self.con.execute(
            "SELECT count(*), min(known_on), max(known_on), count(superseded_on) "
            f"FROM {_scan([str(staged)])}"
        ).fetchone()
        return {
            "n_rows": n,
            "min_known_on": first.isoformat(),
            "max_known_on": last.isoformat(),
            "n_superseded": n_superseded,
        }

    def write_rejects(self) -> None:
        """Stage, for each table with new rejects, its rejects file: the old rows and the new."""
        try:
            tables = self.con.execute("SELECT DISTINCT table_name FROM rejected").fetchall()
            for (table,) in sorted(tables):
                self._write_rejects(table)
        except duckdb.Error as error:
            raise _full(error, self.draft.path) from error

    def _write_rejects(self, table: str) -> None:
        before = self.draft.path / REJECTS / f"{table}.parquet"
        old = f"SELECT * FROM {_scan([str(before)])} UNION ALL " if before.exists() else ""
        staged = self.draft.staging / f"rejects-{table}.parquet"
        new = (
            "SELECT * EXCLUDE (table_name) FROM rejected "
            f"WHERE table_name = '{table}' ORDER BY source, source_line"
        )
        n_rows = self.con.execute(
            f"COPY ({old}SELECT * FROM ({new})) TO {literal(str(staged))} {_FORMAT}"
        ).fetchone()[0]
        self.draft.stage_rejects(table, staged, n_rows)


_REJECTS_TABLE: Final = """
CREATE TEMP TABLE rejected (
    table_name VARCHAR, source INTEGER, source_file VARCHAR, source_line BIGINT,
    reason VARCHAR, column_name VARCHAR, value VARCHAR
)
"""


def expired_sql(today: date, traces: list[str]) -> str:
    """Return the SQL condition of multiple sales whose purchaser token is to be dropped."""
    before = literal(add_months(today, -TOKEN_MONTHS).isoformat())
    expired = f"purchaser_token IS NOT NULL AND sold_on <= DATE {before}"
    if not traces:
        return expired
    traced = f"SELECT purchaser_token FROM {_scan(traces)} WHERE purchaser_token IS NOT NULL"
    return f"{expired} AND purchaser_token NOT IN ({traced})"


def sort_key(table: str) -> list[str]:
    """Return the columns by which each batch is sorted: a total order."""
    names = TABLES[table].names
    leading = [name for name in ("dealer",) if name in names]
    rest = [name for name in TABLES[table].key if name not in leading]
    return [*map(quoted, [*leading, "known_on", *rest]), "source", LINE]


def _scan(files: list[str]) -> str:
    return f"read_parquet([{', '.join(map(literal, files))}], hive_partitioning=false)"


def _explained(error: duckdb.Error, load: Load, warehouse: Path) -> SourceError | WarehouseError:
    """Tell a file that cannot be read from a disk that is full."""
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.FatalException):
        return _full(error, warehouse)
    if isinstance(error, duckdb.IOException) and load.source.form == "text":
        return _full(error, warehouse)
    if isinstance(error, duckdb.IOException) and str(load.source.path) not in str(error):
        return _full(error, warehouse)
    return SourceError(
        f"{load.source.name} cannot be read; nothing of it was stored.",
        found=str(error).splitlines()[0],
        fix="check that the file is complete and what its ending says",
    )


def _full(error: duckdb.Error, warehouse: Path) -> WarehouseError:
    return WarehouseError(
        f"The warehouse at {warehouse} cannot be written; it is as it was before.",
        found=str(error).splitlines()[0],
        fix="free disk space (or raise the quota or file size limit) beside the warehouse, or "
        "name another one with --warehouse; then run the command again",
    )
