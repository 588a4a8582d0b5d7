"""What the files of a load do to rows stored before them, in other files of it or earlier loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from features.ingest.summary import FileSummary, TableCounts
from features.schema import TABLES
from features.sql import quoted
from features.warehouse.batches import live
from features.warehouse.manifest import Draft
from features.warehouse.stored import scan_table

CONFLICT: Final = "duplicate_key_conflict"
# Rows of a load that others of it replace: with more, the key does not tell rows apart.
_MOST_REPLACED: Final = 0.5


class Effects:
    """Counts rows that a load supersedes or disputes after they were stored.

    Parameters
    ----------
    con : duckdb connection
        Holds ``resolved`` after each table of each file.
    draft : Draft
        The warehouse about to change.
    """

    def __init__(self, con: Any, draft: Draft) -> None:
        self.con, self.draft = con, draft
        self.first = len(draft.manifest["sources"])
        self._moved: Counter[tuple[str, int, str, str]] = Counter()

    def add(self, counts: TableCounts) -> TableCounts:
        """Take down what the rows of a file did; return its counts with rows of earlier loads."""
        table = counts.table
        moved = self.con.execute(
            "SELECT source_id, CASE WHEN was_superseded_on IS NULL THEN 'stored' "
            "WHEN was_superseded_on > known_on THEN 'superseded' ELSE 'duplicate' END AS before, "
            "CASE WHEN verdict = 'disputed' THEN 'rejected' WHEN verdict <> 'stored' THEN "
            "'duplicate' WHEN superseded_on IS NULL THEN 'stored' ELSE 'superseded' END AS after, "
            "count(*) FROM resolved WHERE file IS NOT NULL "
            "AND superseded_on IS DISTINCT FROM was_superseded_on GROUP BY ALL"
        ).fetchall()
        earlier: Counter[str] = Counter()
        for source, before, after, n_rows in moved:
            if source >= self.first:
                self._moved[table, source, before, after] += n_rows
            elif before == "stored":
                earlier[after] += n_rows
        return replace(
            counts,
            n_superseded_before=earlier["superseded"],
            n_disputed_before=earlier["rejected"],
        )

    def settle(self, files: Sequence[FileSummary]) -> list[FileSummary]:
        """Return the files of the load with their rows counted as they stand at its end."""
        settled, number = [], self.first
        for file in files:
            if not file.is_new:
                settled.append(file)
                continue
            tables = tuple(self._settled(table, number) for table in file.tables)
            entry = self.draft.manifest["sources"][number]
            entry["rejected"] = sum(table.n_rejected for table in tables)
            settled.append(replace(file, tables=tables))
            number += 1
        return settled

    def _settled(self, counts: TableCounts, number: int) -> TableCounts:
        change: Counter[str] = Counter()
        for (table, source, before, after), n_rows in self._moved.items():
            if (table, source) == (counts.table, number):
                change[before] -= n_rows
                change[after] += n_rows
        if not change:
            return counts
        reasons = dict(counts.reasons)
        if change["rejected"]:
            reasons[CONFLICT] = reasons.get(CONFLICT, 0) + change["rejected"]
        return replace(
            counts,
            n_stored=counts.n_stored + change["stored"],
            n_superseded=counts.n_superseded + change["superseded"],
            n_duplicate=counts.n_duplicate + change["duplicate"],
            n_rejected=counts.n_rejected + change["rejected"],
            reasons=reasons,
        )

    def warnings(
        self, files: Sequence[FileSummary], read_from: Mapping[str, Mapping[str, str]]
    ) -> tuple[str, ...]:
        """Return a warning for each table whose key does not seem to tell rows apart.

        Parameters
        ----------
        files : sequence of FileSummary
            As `settle` returned them.
        read_from : mapping
            For each table read through a mapping, where its columns come from.
        """
        n_read: Counter[str] = Counter()
        n_superseded: Counter[str] = Counter()
        for counts in (table for file in files for table in file.tables):
            n_read[counts.table] += counts.n_read
            n_superseded[counts.table] += counts.n_superseded
        told = []
        for table, n_rows in n_read.items():
            if n_superseded[table] > _MOST_REPLACED * n_rows:
                n_replaced, example = self._replaced(table)
                if n_replaced > _MOST_REPLACED * n_rows:
                    key = _key(table, read_from.get(table, {}))
                    told.append(_collapsed(table, (n_replaced, n_rows), key, example))
        return tuple(told)

    def _replaced(self, table: str) -> tuple[int, str]:
        """Return how many rows others of the load replace, and the key with the most rows."""
        names = [quoted(name) for name in TABLES[table].key]
        key = ", ".join(names)
        text = " || ' ' || ".join(f"CAST({name} AS VARCHAR)" for name in names)
        rows = scan_table(table, live(self.draft, table))
        n_replaced, value, most = self.con.execute(
            f"WITH mine AS (SELECT {key}, known_on, superseded_on FROM {rows} "
            f"WHERE source_id >= {self.first}), keys AS (SELECT {key}, {text} AS value, "
            "max(known_on) AS last, count(*) AS n FROM mine GROUP BY ALL HAVING n > 1) "
            "SELECT count(*) FILTER (m.superseded_on > m.known_on AND k.last > m.known_on), "
            "max_by(value, (n, value)), max(n) "
            f"FROM mine m JOIN keys k USING ({key})"
        ).fetchone()
        return int(n_replaced), f"{most or 0:,} rows are of {value!r}"


def _key(table: str, read_from: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} (read from {read_from[name]})" if name in read_from else name
        for name in TABLES[table].key
    )


def _collapsed(table: str, numbers: tuple[int, int], key: str, example: str) -> str:
    n_replaced, n_rows = numbers
    return (
        f"{n_replaced:,} of {n_rows:,} rows of {table} are replaced by other rows of this load, as "
        f"if they corrected each other: the key does not tell rows apart. It is {key}; {example}. "
        "Where these are things of their own, give the key more columns in the mapping (`from` "
        "with several), and take back what was stored: `ffl-risk withdraw NAME --from-start "
        "--why ...` with the name of what was loaded"
    )
