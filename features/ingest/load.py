"""One file into the draft of a warehouse: read, check, decide about versions, write sorted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from features.errors import SourceError
from features.ingest.checking.advice import (
    conflicts_inside,
    equal_counts,
    grouped_numbers,
    other_dealers,
    overtaken,
    sales_without_recovery,
    turned_dates,
)
from features.ingest.checking.checks import CheckQuery, check_query
from features.ingest.checking.rejects import RejectBook
from features.ingest.checking.unknowns import (
    foreign_counties,
    unknown_counties,
    unknown_ports,
    unknown_values,
)
from features.ingest.effects import Effects
from features.ingest.opening import Opened, damaged, is_about_file, numbered, open_raw, texts_of
from features.ingest.query_faults import fails_on_rows
from features.ingest.summary import TableCounts
from features.ingest.versions import Resolution, date_ends, resolve, revise
from features.reference.legal.citation import normalize_column
from features.schema import TABLES
from features.sources.files.source_file import SourceFile
from features.sources.layout import Layout, Plan
from features.sources.privacy import READABLE_TOKENS, refuse_readable_tokens
from features.sources.rows.dates import settle
from features.sources.rows.delimited import LINE, OddRows
from features.sources.rows.footers import note_sql, sum_sql
from features.sql import literal, quoted
from features.warehouse.batches import full_disk, live, scan, write_batch
from features.warehouse.manifest import Draft
from features.warehouse.retention import TABLE as RETAINED
from features.warehouse.retention import drop_expired, expired_sql
from features.warehouse.stored import scan_table

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
        # The newest day of each table of the file that was loaded last.
        self.newest: dict[str, str] = {}
        self.rejects = RejectBook(con)
        self.effects = Effects(con, draft)

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
            if is_about_file(error, load.source):
                raise damaged(error, load.source) from error
            raise full_disk(error, self.draft.path) from error

    def finish(self) -> None:
        """Forget tokens whose time is over, and stage the rejects.

        Raises
        ------
        WarehouseError
            When disk or memory do not suffice.
        """
        try:
            drop_expired(self.con, self.draft, self.today)
            self.rejects.stage(self.draft)
        except duckdb.Error as error:
            raise full_disk(error, self.draft.path) from error

    def _load(self, load: Load, step: Step) -> tuple[list[TableCounts], list[str]]:
        with ExitStack() as opened:
            with step("open"):
                found = open_raw(self.con, load.source, load.layout, load.names, opened)
                is_numbered = numbered(load.layout) in found.notes
                self.rejects.numbers_of = " of what the query gives" if is_numbered else ""
            try:
                load = self._settled(load, found.notes)
                return self._load_tables(load, found, step)
            except duckdb.Error as error:
                if load.layout.query and is_about_file(error, load.source):
                    raise fails_on_rows(error, load.layout, load.source) from error
                raise

    def _settled(self, load: Load, notes: list[str]) -> Load:
        """Return the load with one date format a column, as the rows of the file tell it."""
        plans, faults = [], []
        for plan in load.layout.plans:
            settled, told = settle(self.con, plan.rows, plan.dates)
            plans.append(replace(plan, columns={**plan.columns, **settled}))
            faults += told
        if faults:
            raise SourceError(
                f"{load.source.name} is refused: its dates can be read in two ways.",
                found="; ".join(faults),
                expected="one format that reads all dates of a column",
                fix="leave one date_format in the mapping, or set it for each of these columns",
            )
        layout = replace(load.layout, plans=tuple(plans), notes=(*load.layout.notes, *notes))
        return replace(load, layout=layout)

    def _load_tables(
        self, load: Load, found: Opened, step: Step
    ) -> tuple[list[TableCounts], list[str]]:
        plans, file = load.layout.plans, load.source.name
        self.newest = {}
        counts, notes = [], list(load.layout.notes)
        for plan in plans:
            table = plan.table
            is_first = plan is plans[0]
            with step(f"check {table}"):
                query = self._check(load, plan)
                self.rejects.add_doubted(table, query)
                notes += self._set_footers_aside(load, query, found.odd if is_first else None)
                told_as = load.layout.told_as
                self.rejects.add_faults(table, (load.number, file), query, told_as)
                n_unread = 0
                if is_first:
                    n_unread = self.rejects.add_unread(table, load.number, file, found)
                notes += self._retain(file, plan) + unknown_values(self.con, query)
                notes += sales_without_recovery(self.con, table)
                notes += turned_dates(self.con, table, load.number)
                notes += grouped_numbers(self.con, table, load.number)
                if table == "licenses":
                    notes += unknown_counties(self.con) + foreign_counties(self.con)
                if table == "seizures":
                    notes += unknown_ports(self.con)
            with step(f"store {table}"):
                notes += self._lift(table)
                is_dated = "known_on" in plan.columns
                files = live(self.draft, table)
                notes += date_ends(self.con, table, files, self.effects.first, self.today)
                resolution = resolve(self.con, table, files, withdrawn_sources(self.draft))
                if resolution.n_conflict:
                    self.rejects.add_conflicts(table, load.number, file)
                    notes += self._disputed_before(table, resolution)
                    notes += conflicts_inside(table, self.rejects.n_repeated(table, load.number))
                if resolution.n_duplicate:
                    notes += equal_counts(self.con, table)
                if resolution.n_superseded or resolution.n_conflict:
                    notes += other_dealers(self.con, table)
                if resolution.n_superseded and not is_dated:
                    notes += overtaken(self.con, table)
                n_footers = len(found.odd.footers) if found.odd is not None and is_first else 0
                counts.append(self._count(load, table, resolution, n_unread, n_footers))
                self.rejects.refuse_bad(
                    file, load.number, counts[-1], self.max_rejects, load.layout.notes
                )
                if resolution.has_contested:
                    counts[-1] = self.effects.add(counts[-1])
                self._store(load, table, resolution)
        if not any(one.n_read for one in counts):
            notes.append("holds no rows")
        if found.odd is not None and found.odd.line and not load.source.ends_in_newline:
            notes.append("cut off in its last row, which is among the rejects")
        return counts, notes

    def _check(self, load: Load, plan: Plan) -> CheckQuery:
        """Run the checks into the table ``checked``."""
        is_text = load.layout.form is not None and not load.layout.query
        raw_text = tuple(load.names) if is_text else texts_of(self.con, load.layout, plan)
        if plan.table == "violations":
            self._know_inspections()
            self._know_citations(plan)
        query = check_query(
            plan, self._types(plan, is_text), raw_text, self.today, is_trimmed=is_text
        )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE checked AS {query.sql}")
        self.con.execute(
            "CREATE OR REPLACE TEMP VIEW good AS SELECT rowid AS row, * FROM checked "
            "WHERE fault = 0 AND NOT is_set_aside"
        )
        return query

    def _set_footers_aside(self, load: Load, query: CheckQuery, odd: OddRows | None) -> list[str]:
        """Set sums of other rows aside, and words behind the last row; they are no bad rows.

        What a query gives has no order of the file: there words may stand anywhere.
        """
        n_columns, last = query.n_columns or len(load.names), 0
        if not load.layout.query:
            last = self.con.execute(f"SELECT coalesce(max({LINE}), 0) FROM good").fetchone()[0]
        lines: list[int] = []
        if odd is not None:
            odd.settle(last)
            lines += [int(line) for line in odd.lines(odd.footers)]
        is_sum = sum_sql("first_cell", "n_filled", n_columns)
        is_note = f"({LINE} > {last} AND {note_sql('first_cell', 'n_filled', n_columns)})"
        found = f"fault > 0 AND first_cell IS NOT NULL AND ({is_sum} OR {is_note})"
        rows = self.con.execute(f"SELECT {LINE} FROM checked WHERE {found}").fetchall()
        if rows:
            self.con.execute(f"UPDATE checked SET fault = 0, is_set_aside = true WHERE {found}")
        lines += [line for (line,) in rows]
        if not lines:
            return []
        return [
            "rows that sum up others or say something of the file, set aside: "
            f"{len(lines):,} (the first in line {min(lines):,})"
        ]

    def _types(self, plan: Plan, is_text: bool) -> dict[str, str]:
        """Return the type of each expression; text stays text in a file of text."""
        texts = {column.name for column in TABLES[plan.table].columns if column.kind == "string"}
        types = {name: "VARCHAR" for name in plan.columns if is_text and name in texts}
        asked = {name: sql for name, sql in plan.columns.items() if name not in types}
        if asked:
            selected = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in asked.items())
            described = self.con.execute(
                f"DESCRIBE SELECT {selected} FROM {plan.rows} AS source_rows"
            ).fetchall()
            types |= {row[0]: row[1] for row in described}
        return types

    def _know_inspections(self) -> None:
        """Make the table of inspections and of the day on which each one's findings were known.

        Citations of an inspection that is still open are known since they were ingested.
        """
        files = live(self.draft, "inspections")
        none = "DATE '1900-01-01'"
        known = (
            f"SELECT '' AS known_inspection_id, {none} AS inspection_known_on, "
            f"{none} AS inspection_closed_on LIMIT 0"
        )
        if files:
            known = (
                "SELECT inspection_id AS known_inspection_id, coalesce(min(known_on) "
                "FILTER (closed_on IS NOT NULL OR outcome <> 'none'), "
                f"DATE {literal(self.today.isoformat())}) AS inspection_known_on, "
                "min(closed_on) AS inspection_closed_on "
                f"FROM {scan(files)} GROUP BY inspection_id"
            )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE known_inspections AS {known}")

    def _know_citations(self, plan: Plan) -> None:
        """Make the table of the spellings in the file and the provision that each one means."""
        spellings = self.con.execute(
            f"SELECT DISTINCT trim({plan.columns['citation']}) AS cited_as "
            f"FROM {plan.rows} AS source_rows WHERE cited_as IS NOT NULL"
        ).to_arrow_table()["cited_as"]
        normal = normalize_column(spellings)["citation"]
        names = pa.array(normal, pa.string(), from_pandas=True)
        self.con.register("spellings", pa.table({"cited_as": spellings, "normal": names}))
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE known_citations AS "
            "SELECT cited_as, normal AS normal_citation FROM spellings"
        )
        self.con.unregister("spellings")

    def _retain(self, file: str, plan: Plan) -> list[str]:
        """Refuse readable tokens; drop those of multiple sales whose time is over."""
        if "purchaser_token" not in plan.columns:
            return []
        refuse_readable_tokens(file, self.con.execute(READABLE_TOKENS).fetchone()[0])
        if plan.table != RETAINED:
            return []
        expired = expired_sql(self.today, live(self.draft, "traces"))
        n_dropped = self.con.execute(
            f"UPDATE checked SET purchaser_token = NULL WHERE {expired}"
        ).fetchone()[0]
        if not n_dropped:
            return []
        return [f"{n_dropped:,} purchaser tokens dropped: sold over two years ago, never traced"]

    def _lift(self, table: str) -> list[str]:
        """Let rows that correct withdrawn ones count from the day of the withdrawal.

        Until then the withdrawn row stands: no day may have both.
        """
        gone, files = withdrawn_sources(self.draft), live(self.draft, table)
        if not gone or not files:
            return []
        key = [quoted(name) for name in TABLES[table].key]
        days = " ".join(f"WHEN {n} THEN DATE {literal(day)}" for n, day in gone.items())
        ends = (
            f"SELECT {', '.join(key)}, max(CASE source_id {days} END) AS ended_on, "
            "max(known_on) AS told_on "
            f"FROM {scan_table(table, files)} WHERE source_id IN ({', '.join(map(str, gone))}) "
            "GROUP BY ALL"
        )
        same = " AND ".join(f"c.{k} = e.{k}" for k in key)
        n_lifted = self.con.execute(
            f"UPDATE checked AS c SET known_on = ended_on FROM ({ends}) e "
            f"WHERE {same} AND c.fault = 0 AND c.known_on <= told_on AND ended_on > c.known_on"
        ).fetchone()[0]
        if not n_lifted:
            return []
        return [
            f"rows of {table} that correct withdrawn ones: {n_lifted:,}; they count from the day "
            "of the withdrawal, because until then the withdrawn rows stand"
        ]

    def _disputed_before(self, table: str, resolution: Resolution) -> list[str]:
        """Tell of rows of earlier loads that no longer stand, and put them among the rejects."""
        if not resolution.n_disputed_before:
            return []
        files = {entry["id"]: entry["file"] for entry in self.draft.manifest["sources"]}
        self.rejects.add_disputed(table, files)
        return [
            f"rows of {table} stored before that say something else of the same key and day: "
            f"{resolution.n_disputed_before:,}; none stands until one source is withdrawn or a "
            "later row corrects it; a full export that comes again is loaded with --known-on and "
            "the day of the export"
        ]

    def _count(
        self, load: Load, table: str, resolution: Resolution, n_unread: int, n_footers: int
    ) -> TableCounts:
        n_checked, n_set_aside, newest = self.con.execute(
            "SELECT count(*), count(*) FILTER (is_set_aside AND fault = 0), "
            "max(known_on) FILTER (fault = 0) FROM checked"
        ).fetchone()
        if newest is not None:
            self.newest[table] = newest.isoformat()
        reasons = self.rejects.reasons(table, load.number)
        return TableCounts(
            table,
            n_checked + n_unread + n_footers,
            resolution.n_stored,
            resolution.n_superseded,
            resolution.n_duplicate + resolution.n_restated,
            n_set_aside + n_footers,
            sum(reasons.values()),
            reasons,
        )

    def _store(self, load: Load, table: str, resolution: Resolution) -> None:
        """Write the new rows, then the batches that hold rows which they supersede."""
        if resolution.has_rows:
            names = ", ".join(quoted(name) for name in TABLES[table].names)
            query = (
                f"SELECT {names}, g.known_on AS known_on, {resolution.superseded_on} "
                f"AS superseded_on, {load.number}::INTEGER AS source_id, {LINE} "
                f"FROM {resolution.rows}"
            )
            write_batch(self.con, self.draft, table, query)
        for place in resolution.rewritten:
            revise(self.con, self.draft, table, place)


def withdrawn_sources(draft: Draft) -> dict[int, str]:
    """Return the day from which the rows of each withdrawn source no longer stand."""
    entries = draft.manifest["sources"]
    return {
        int(entry["id"]): entry["withdrawn"]["on"]
        for entry in entries
        if entry.get("withdrawn", {}).get("on")
    }
