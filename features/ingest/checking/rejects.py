"""Rejected rows: each with its file, line, offending value and reason; nothing disappears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from features.ingest.checking.advice import Fault, refusal
from features.ingest.checking.checks import CheckQuery
from features.ingest.opening import EXPORT_ROWS, Opened
from features.ingest.summary import TableCounts
from features.schema import TABLES
from features.sources.rows.delimited import DAMAGED, LINE
from features.sql import literal, quoted
from features.warehouse.batches import FORMAT
from features.warehouse.manifest import REJECTS, Draft

_TABLE: Final = """
CREATE TEMP TABLE rejected (
    table_name VARCHAR, source_id INTEGER, source_file VARCHAR, source_line BIGINT,
    reason VARCHAR, column_name VARCHAR, value VARCHAR
)
"""


def _key_text(table: str) -> str:
    return " || ' ' || ".join(f"CAST(r.{quoted(name)} AS VARCHAR)" for name in TABLES[table].key)


class RejectBook:
    """The rejects of one ingest, until they are staged.

    Parameters
    ----------
    con : duckdb connection
        Holds the rows of ``checked`` and of this book.
    """

    def __init__(self, con: Any) -> None:
        self.con = con
        self.numbers_of = ""  # what a line counts where it is none of the file
        con.execute(_TABLE)

    def add_faults(
        self,
        table: str,
        source: tuple[int, str],
        query: CheckQuery,
        told_as: Mapping[str, str],
    ) -> None:
        """Write down the rows of ``checked`` that break a rule, by the columns of the file."""
        number, file = source
        reasons = " ".join(f"WHEN {n} THEN '{r.reason}'" for n, r in enumerate(query.rules, 1))
        columns = " ".join(
            f"WHEN {n} THEN {literal(told_as.get(r.column, r.column))}"
            for n, r in enumerate(query.rules, 1)
        )
        self.con.execute(
            f"INSERT INTO rejected SELECT '{table}', {number}, {literal(file)}, {LINE}, "
            f"CASE fault {reasons} END, nullif(CASE fault {columns} END, ''), "
            "left(fault_value, 200) FROM checked WHERE fault > 0"
        )

    def add_doubted(self, table: str, query: CheckQuery) -> None:
        """Make faults of numbers with a dot that their column leaves two readings.

        A whole number such as ``1.000`` is one or a thousand: it is believed where another row
        (``7.0``) shows that a dot ends the whole part. Of other numbers a dot before three digits
        is doubted only where another row shows that it does not.
        """
        for name in query.doubts:
            doubt, dots = quoted(f"doubt_{name}"), quoted(f"dots_{name}")
            n_doubted, told = self.con.execute(
                f"SELECT count({doubt}), coalesce(bit_or({dots}), 0) FROM checked "
                "WHERE NOT is_set_aside"
            ).fetchone()
            is_whole = TABLES[table].column(name).kind == "integer"
            if n_doubted and (told & 2 or (is_whole and not told)):
                rule = query.rule_of(name, "out_of_range")
                self.con.execute(
                    f"UPDATE checked SET fault = {rule}, fault_value = {doubt} "
                    f"WHERE fault = 0 AND NOT is_set_aside AND {doubt} IS NOT NULL"
                )

    def add_unread(self, table: str, source: int, file: str, opened: Opened) -> int:
        """Write down the rows that never came to the checks; return how many."""
        n_rows = 0
        own = [(file, "", opened.odd)] if opened.odd is not None else []
        joined = [(name, f" in {name}", odd) for name, odd in opened.joined]
        for name, where, odd in (*own, *joined):
            if odd.n_rows:
                self.con.register("odd_rows", odd.as_rejects())
                self.con.execute(
                    f"INSERT INTO rejected SELECT '{table}', {source}, {literal(name)}, line, "
                    f"reason, NULL, value || {literal(where)} FROM odd_rows"
                )
                self.con.unregister("odd_rows")
                n_rows += odd.n_rows
        if opened.is_queried:
            n_rows += self.con.execute(
                f"INSERT INTO rejected SELECT '{table}', {source}, {literal(file)}, {LINE}, "
                f"'undecodable', NULL, NULL FROM {EXPORT_ROWS} WHERE {DAMAGED}"
            ).fetchone()[0]
        return n_rows

    def add_conflicts(self, table: str, source: int, file: str) -> None:
        """Write down the new rows that ``resolved`` calls disputed."""
        self.con.execute(
            f"INSERT INTO rejected SELECT '{table}', {source}, {literal(file)}, r.source_line, "
            f"'duplicate_key_conflict', '{TABLES[table].key[0]}', {_key_text(table)} "
            "FROM resolved r WHERE r.verdict = 'disputed' AND r.file IS NULL"
        )

    def add_disputed(self, table: str, files: Mapping[int, str]) -> None:
        """Write down the rows of earlier sources that ``revised`` calls disputed."""
        name = " ".join(f"WHEN {number} THEN {literal(file)}" for number, file in files.items())
        self.con.execute(
            f"INSERT INTO rejected SELECT '{table}', r.source_id, CASE r.source_id {name} END, "
            f"r.source_line, 'duplicate_key_conflict', '{TABLES[table].key[0]}', "
            f"{_key_text(table)} FROM revised r WHERE r.verdict = 'disputed'"
        )

    def n_repeated(self, table: str, source: int) -> int:
        """Return how many rows of a file contradict another row of the same file."""
        found = self.con.execute(
            "SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM rejected "
            f"WHERE table_name = '{table}' AND source_id = {source} "
            "AND reason = 'duplicate_key_conflict' GROUP BY value HAVING n > 1)"
        ).fetchone()
        return int(found[0])

    def reasons(self, table: str, source: int) -> dict[str, int]:
        """Return how many rows of a file were rejected for each reason, the most first."""
        return dict(
            self.con.execute(
                f"SELECT reason, count(*) FROM rejected WHERE table_name = '{table}' "
                f"AND source_id = {source} GROUP BY reason ORDER BY 2 DESC, 1"
            ).fetchall()
        )

    def refuse_bad(
        self,
        file: str,
        source: int,
        counts: TableCounts,
        limit: float,
        notes: Sequence[str] = (),
    ) -> None:
        """Refuse a file with too large a share of bad rows.

        Parameters
        ----------
        file : str
            Its name.
        source : int
            Its number.
        counts : TableCounts
            Of the table at fault.
        limit : float
            Largest share that is taken.
        notes : sequence of str
            What else to know of the file.

        Raises
        ------
        SourceError
            Telling the commonest reasons, each with an example and its first line.
        """
        if counts.n_rejected <= limit * counts.n_read:
            return
        raise refusal(file, counts, limit, self._faults(counts.table, source), notes)

    def _faults(self, table: str, source: int) -> list[Fault]:
        """Return the commonest reasons of one file, each with its first row."""
        found = self.con.execute(
            "SELECT reason, column_name, arg_min(value, source_line), min(source_line), count(*) "
            f"FROM rejected WHERE source_id = {source} AND table_name = '{table}' "
            "GROUP BY reason, column_name ORDER BY 5 DESC, 1 LIMIT 5"
        ).fetchall()
        return [
            # A row without a column at fault never came to the query: its line is the file's.
            Fault(reason, column, value, line, n_rows, self.numbers_of if column else "")
            for reason, column, value, line, n_rows in found
        ]

    def stage(self, draft: Draft) -> None:
        """Stage, for each table with new rejects, its whole file.

        The old rows stand before the new ones, as they stood: where the manifest is not replaced
        after all, the first rows of the file are those it counts. New rows may be of old sources.
        """
        tables = self.con.execute("SELECT DISTINCT table_name FROM rejected").fetchall()
        for (table,) in sorted(tables):
            before = draft.path / REJECTS / f"{table}.parquet"
            old = (
                "SELECT * EXCLUDE (file_row_number), file_row_number AS place FROM read_parquet("
                f"{literal(str(before))}, file_row_number = true, hive_partitioning = false) "
                "UNION ALL "
                if before.exists()
                else ""
            )
            new = (
                "SELECT * EXCLUDE (table_name), NULL AS place FROM rejected "
                f"WHERE table_name = '{table}'"
            )
            staged = draft.staging / f"rejects-{table}.parquet"
            n_rows = self.con.execute(
                f"COPY (SELECT * EXCLUDE (place) FROM ({old}{new}) ORDER BY place NULLS LAST, "
                "source_id, source_line, reason, value) "
                f"TO {literal(str(staged))} {FORMAT}"
            ).fetchone()[0]
            draft.stage_rejects(table, staged, n_rows)
