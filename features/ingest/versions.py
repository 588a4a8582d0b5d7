"""Versions of a row: which new rows are duplicates, conflicts, corrections or back-dated facts.

Rows of one key are ordered by ``known_on``, whatever the order in which they arrive. Each version
is superseded on the day when the next one was known. A row whose content equals the one before it
is a restatement: it says nothing new, so the fact keeps the day on which it was first known. It is
stored all the same, superseded on the day it was known and therefore never in force, because a row
that arrives later may come between the two (A, B, A: the restatement is a correction after all).

Of two rows with the same key and ``known_on`` one that says the same is a duplicate. Rows that say
different things are disputed: nothing tells which is right, so none of them stands, in whatever
order they arrived, and what was known of the key before goes on. They are stored like restatements,
never in force, and named among the rejects, those that stood until now as well. A later version
of the key settles the dispute from the day on which it is known; taking one source out settles it
too.

A thing is told while it goes on and again when it ends. Where both rows are known on one day, or
the day of the open one only stands in for the day of an end that came before it, the open row
yields: it is stored like a restatement, whichever came first. A purchaser's token is told late like
an end, but that a row no longer has one says nothing: it is forgotten in time, here and elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from features.schema import TABLES
from features.sql import literal, quoted
from features.warehouse.batches import rewrite_batch
from features.warehouse.manifest import Draft
from features.warehouse.retention import TABLE as RETAINED
from features.warehouse.retention import kept_after
from features.warehouse.stored import scan_table, stored_columns

# Dropped two years after the sale: a version without it takes nothing back.
_FORGOTTEN: Final = {"multiple_sales": "purchaser_token"}
# What stays empty while the thing goes on.
_END: Final = {
    "traces": "completed_on",
    "inspections": "closed_on",
    "tips": "is_substantiated",
    "holds": "ends_on",
    "agencies": "submits_to",
    "area_covariates": "to",
    "multiple_sales": "purchaser_token",
}
# Where the end may tell other values of the row as well; elsewhere these are a dispute.
_END_TELLS_ALL: Final = frozenset({"traces", "inspections"})
# Where an open row is known on a day that stands in for the end.
_STANDS_IN: Final = {"traces": "completed_on IS NULL AND known_on = requested_on + 14"}
_YIELDS: Final = (
    "(is_open AND bool_or(NOT is_open) OVER (PARTITION BY {keys}, known_on, rest)) OR "
    "(stands_in AND coalesce(min(known_on) FILTER (NOT is_open) OVER (PARTITION BY {keys}) "
    "<= known_on, false))"
)


@dataclass(frozen=True)
class Resolution:
    """What became of the good rows of one table of one file.

    Parameters
    ----------
    n_stored, n_superseded, n_restated, n_duplicate, n_conflict : int
        Rows stored as current, stored as a version that a later one already replaced, stored as a
        restatement that is never in force, left out as duplicates, and disputed.
    n_disputed_before : int
        Rows stored by earlier loads that stood until now and are disputed by these.
    rewritten : tuple of str
        Stored files with a version that a new row supersedes.
    has_contested : bool
        Whether any key occurs more than once; if not, nothing needs to be looked up.
    """

    n_stored: int
    n_superseded: int
    n_restated: int
    n_duplicate: int
    n_conflict: int
    n_disputed_before: int = 0
    rewritten: tuple[str, ...] = ()
    has_contested: bool = True

    @property
    def has_rows(self) -> bool:
        """Whether any row of the load is stored, in force or not."""
        kept = (self.n_stored, self.n_superseded, self.n_restated, self.n_conflict)
        return any(kept)

    @property
    def rows(self) -> str:
        """The SQL relation ``g`` of the rows to store."""
        if not self.has_contested:
            return "good g"
        return (
            "good g LEFT JOIN (SELECT row, verdict, superseded_on FROM resolved) r "
            "ON g.row = r.row WHERE r.row IS NULL OR r.verdict <> 'duplicate'"
        )

    @property
    def superseded_on(self) -> str:
        """The SQL expression of the day on which each row to store was superseded."""
        return "r.superseded_on" if self.has_contested else "CAST(NULL AS DATE)"


def resolve(
    con: Any, table: str, live: list[str], withdrawn: Mapping[int, str] | None = None
) -> Resolution:
    """Decide about the good rows of ``checked`` against each other and the files `live`.

    Rows of the sources in `withdrawn` end on the day of their withdrawal at the latest, and what
    comes after them is no restatement of them.

    Leaves the tables ``resolved`` (``row`` of ``checked``, ``verdict``, ``superseded_on``) and
    ``revised`` (key, ``known_on``, source, ``file``, ``superseded_on`` of stored rows that end on
    another day now, or no longer end).
    Only keys that occur more than once pass the window functions, so the cost of a load of new
    keys is one aggregation.
    """
    key = [quoted(name) for name in TABLES[table].key]
    _contested(con, table, key, live)
    n_good, n_contested = con.execute(
        "SELECT (SELECT count(*) FROM good), (SELECT count(*) FROM contested)"
    ).fetchone()
    if not n_contested:
        return Resolution(n_good, 0, 0, 0, 0, has_contested=False)
    _decide(con, table, withdrawn or {})
    counts = con.execute(
        "SELECT count(*) FILTER (verdict = 'stored' AND superseded_on IS NOT NULL), "
        "count(*) FILTER (verdict = 'restated'), count(*) FILTER (verdict = 'duplicate'), "
        "count(*) FILTER (verdict = 'disputed') "
        "FROM resolved WHERE file IS NULL"
    ).fetchone()
    n_before = con.execute("SELECT count(*) FROM revised WHERE verdict = 'disputed'").fetchone()[0]
    files = con.execute("SELECT DISTINCT file FROM revised ORDER BY file").fetchall()
    n_superseded, n_restated, n_duplicate, n_conflict = counts
    return Resolution(
        n_good - sum(counts),
        n_superseded,
        n_restated,
        n_duplicate,
        n_conflict,
        n_before,
        rewritten=tuple(file for (file,) in files),
    )


def _content(table: str, *left_out: str) -> str:
    """Return the columns that a version may change."""
    names = (*TABLES[table].key, _FORGOTTEN.get(table), *left_out)
    return ", ".join(quoted(name) for name in TABLES[table].names if name not in names)


def _progress(table: str) -> str:
    """Return SQL of what tells whether a row yields; see `_YIELDS`."""
    end = _END.get(table)
    if end is None:
        return "false AS is_open, false AS stands_in, 0 AS rest"
    rest = "0" if table in _END_TELLS_ALL else f"hash({_content(table, end)})"
    return (
        f"{quoted(end)} IS NULL AS is_open, coalesce({_STANDS_IN.get(table, 'false')}, false) "
        f"AS stands_in, {rest} AS rest"
    )


def _told(table: str) -> str:
    """Return SQL of what versions are compared by."""
    forgotten = quoted(_FORGOTTEN[table]) if table in _FORGOTTEN else "NULL"
    return (
        f"hash({_content(table)}) AS content, CAST({forgotten} AS VARCHAR) AS forgotten, "
        f"{_progress(table)}"
    )


def unyielding(table: str, rows: str) -> str:
    """Return SQL for the rows of the relation `rows` that yield to no other of it."""
    keys = ", ".join(quoted(name) for name in TABLES[table].key)
    return (
        f"SELECT * EXCLUDE (is_open, stands_in, rest, is_yielding) FROM (SELECT *, "
        f"{_YIELDS.format(keys=keys)} AS is_yielding FROM (SELECT *, {_progress(table)} "
        f"FROM {rows})) WHERE NOT is_yielding"
    )


def disputes(table: str, rows: str) -> str:
    """Return SQL for the pairs of places of the relation `rows` whose rows are in dispute.

    The relation has the table's columns, ``known_on`` and ``place``; every version of a key is in
    it, as in `_RESOLVED`.
    """
    keys = ", ".join(quoted(name) for name in TABLES[table].key)
    same = " AND ".join(f"a.{quoted(name)} = b.{quoted(name)}" for name in TABLES[table].key)
    told = f"(SELECT *, {_told(table)} FROM {rows})"
    return (
        f"WITH told AS (SELECT *, {_YIELDS.format(keys=keys)} AS is_yielding FROM {told}), "
        "standing AS (SELECT * FROM told WHERE NOT is_yielding) "
        "SELECT DISTINCT a.place, b.place FROM standing a JOIN standing b "
        f"ON {same} AND a.known_on = b.known_on AND (a.content <> b.content "
        "OR coalesce(a.forgotten <> b.forgotten, false)) ORDER BY ALL"
    )


def date_ends(con: Any, table: str, files: list[str], first: int, today: date) -> list[str]:
    """Let new rows that tell the end of what stands open be known on the day of ingest; tell it.

    Their table dates them like the open row, and then that day would know the end. A row whose
    file dates it keeps its day.

    Parameters
    ----------
    con : duckdb connection
        With the table ``checked``.
    table : str
        The table.
    files : list of str
        Its stored files.
    first : int
        The first source of this load: what it tells itself, it tells on one day.
    today : date
        The day of ingest.
    """
    if table not in _END or table in _END_TELLS_ALL or not files:
        return []
    day = f"DATE {literal(today.isoformat())}"
    end, key = quoted(_END[table]), [quoted(name) for name in TABLES[table].key]
    rest = _content(table, _END[table])
    stood = (
        f"SELECT DISTINCT {', '.join(key)}, known_on AS told_on, hash({rest}) AS rest "
        f"FROM {scan_table(table, files)} WHERE source_id < {first} AND {end} IS NULL "
        "AND superseded_on IS DISTINCT FROM known_on"
    )
    if table == RETAINED:  # what stands without a token that old may have had it
        stood += f" AND sold_on > DATE {literal(kept_after(today).isoformat())}"
    same = " AND ".join(f"c.{k} = o.{k}" for k in key)
    n_rows = con.execute(
        f"UPDATE checked AS c SET known_on = {day} FROM ({stood}) o WHERE {same} "
        f"AND c.fault = 0 AND NOT c.is_set_aside AND NOT c.is_dated AND c.{end} IS NOT NULL "
        f"AND c.known_on = o.told_on AND {day} > c.known_on "
        f"AND hash({', '.join('c.' + name for name in rest.split(', '))}) = o.rest"
    ).fetchone()[0]
    if not n_rows:
        return []
    return [
        f"rows of {table} that tell {_END[table]} of what was stored without it: {n_rows:,}; known "
        "since the day of this load"
    ]


def _decide(con: Any, table: str, withdrawn: Mapping[int, str]) -> None:
    """Make ``resolved`` and ``revised`` out of ``contested``."""
    keys = ", ".join(quoted(name) for name in TABLES[table].key)
    ends = " ".join(f"WHEN {n} THEN DATE {literal(day)}" for n, day in withdrawn.items())
    withdrawn_on = f"CASE source_id {ends} END" if ends else "CAST(NULL AS DATE)"
    yields = _YIELDS.format(keys=keys)
    con.execute(_RESOLVED.format(keys=keys, withdrawn_on=withdrawn_on, yields=yields))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE revised AS SELECT {keys}, known_on, source_id, "
        "source_line, file, superseded_on, verdict FROM resolved "
        "WHERE file IS NOT NULL AND superseded_on IS DISTINCT FROM was_superseded_on"
    )


def resolve_keys(con: Any, table: str, live: list[str], withdrawn: Mapping[int, str]) -> None:
    """Make ``revised`` for the stored rows of the keys in ``touched``, without new rows.

    The table ``checked`` must be there, with the columns of the table and no rows.
    """
    con.execute("CREATE OR REPLACE TEMP VIEW good AS SELECT rowid AS row, * FROM checked")
    key = [quoted(name) for name in TABLES[table].key]
    _contested(con, table, key, live, keys_from="touched")
    _decide(con, table, withdrawn)


def _contested(
    con: Any, table: str, key: list[str], live: list[str], *, keys_from: str = "good"
) -> None:
    """Make ``contested``: new and stored rows of every key that occurs more than once."""
    keys = ", ".join(key)
    told = _told(table)
    rows = scan_table(table, live, with_file=True) if live else ""
    stored = _stored(rows, keys_from, told, key)
    con.execute(f"CREATE OR REPLACE TEMP TABLE stored_rows AS {stored}")
    # Two keys of one hash do no harm: the window functions tell them apart.
    con.execute(
        "CREATE OR REPLACE TEMP TABLE contested AS "
        f"WITH multiple AS (SELECT hash({keys}) AS h FROM good GROUP BY h HAVING count(*) > 1 "
        f"UNION SELECT hash({keys}) AS h FROM stored_rows) "
        "SELECT row, CAST(NULL AS INTEGER) AS source_id, source_line, NULL AS file, "
        f"{keys}, known_on, "
        "CAST(NULL AS DATE) AS was_superseded_on, "
        f"{told} FROM good g "
        f"WHERE hash({keys}) IN (SELECT h FROM multiple) "
        "UNION ALL SELECT CAST(NULL AS BIGINT), source_id, source_line, file, "
        "* EXCLUDE (source_id, source_line, file) FROM stored_rows"
    )


def _stored(rows: str, keys_from: str, told: str, key: list[str]) -> str:
    keys = ", ".join(key)
    if not rows:
        return (
            "SELECT CAST(NULL AS INTEGER) AS source_id, CAST(NULL AS BIGINT) AS source_line, "
            f"CAST(NULL AS VARCHAR) AS file, {keys}, known_on, "
            f"CAST(NULL AS DATE) AS superseded_on, {told} FROM good LIMIT 0"
        )
    same = " AND ".join(f"g.{k} = s.{k}" for k in key)
    # A join against the distinct keys hands them to the scan as a filter; an EXISTS does not, and
    # then a load of one row reads every column of the table.
    return (
        f"SELECT source_id, source_line, filename AS file, {keys}, known_on, superseded_on, {told} "
        f"FROM (SELECT s.* FROM {rows} s "
        f"JOIN (SELECT DISTINCT {keys} FROM {keys_from}) g ON {same})"
    )


def revise(con: Any, draft: Draft, table: str, place: str) -> None:
    """Write the batch at `place` anew, with the days on which its rows are superseded now."""
    key = [*TABLES[table].key, "known_on", "source_id", "source_line"]
    same = " AND ".join(f"s.{quoted(k)} = r.{quoted(k)}" for k in key)
    columns = ", ".join(
        "CASE WHEN r.known_on IS NULL THEN s.superseded_on ELSE r.superseded_on END "
        "AS superseded_on"
        if name == "superseded_on"
        else f"s.{quoted(name)} AS {quoted(name)}"
        for name in stored_columns(table)
    )
    revised = f"(SELECT * FROM revised WHERE file = {literal(place)})"
    query = f"SELECT {columns} FROM {scan_table(table, [place])} s LEFT JOIN {revised} r ON {same}"
    rewrite_batch(con, draft, table, place=place, query=query)


# Of equal rows of a day a stored one comes first, then the order of the file. Only the first of
# each content counts as a version, and none where contents differ. What a run of equal ones says is
# known since the first of them.
_RESOLVED: Final = """
CREATE OR REPLACE TEMP TABLE resolved AS
WITH told AS (
    SELECT *, {withdrawn_on} AS withdrawn_on, {yields} AS is_yielding,
        row IS NULL AND source_line < 0 AS is_restored,
        -- A row that a withdrawal brought back yields to any other of its day.
        count(*) FILTER (row IS NOT NULL OR source_line >= 0)
            OVER (PARTITION BY {keys}, known_on) > 0 AS has_other
    FROM contested
),
ranked AS (
    SELECT *,
        row_number() OVER (
            PARTITION BY {keys}, known_on, content, forgotten
            ORDER BY row IS NOT NULL, source_id, source_line, row
        ) AS place,
        min(content) OVER of_day <> max(content) OVER of_day
            OR coalesce(min(forgotten) OVER of_day <> max(forgotten) OVER of_day, false)
            AS is_disputed
    FROM told WHERE NOT is_yielding AND NOT (is_restored AND has_other)
    WINDOW of_day AS (PARTITION BY {keys}, known_on, withdrawn_on IS NOT NULL)
),
compared AS (
    SELECT *, coalesce(
        content = lag(content) OVER version_order AND lag(withdrawn_on) OVER version_order IS NULL,
        false
    ) AS says_same
    FROM ranked WHERE place = 1 AND NOT is_disputed
    WINDOW version_order AS (PARTITION BY {keys} ORDER BY known_on, withdrawn_on NULLS LAST)
),
runs AS (
    SELECT *, count(*) FILTER (NOT says_same) OVER (
        PARTITION BY {keys} ORDER BY known_on, withdrawn_on NULLS LAST
    ) AS run FROM compared
),
versions AS (
    SELECT *, says_same AND (
        forgotten IS NULL OR coalesce(forgotten = last_value(forgotten IGNORE NULLS) OVER (
            PARTITION BY {keys}, run ORDER BY known_on, withdrawn_on NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), false)
    ) AS is_restated FROM runs
)
SELECT row, source_id, source_line, file, {keys}, known_on, was_superseded_on, 'stored' AS verdict,
    CASE WHEN withdrawn_on IS NULL THEN lead(known_on) OVER later
    ELSE greatest(known_on, least(coalesce(lead(known_on) OVER later, withdrawn_on), withdrawn_on))
    END AS superseded_on
FROM versions WHERE NOT is_restated
WINDOW later AS (PARTITION BY {keys} ORDER BY known_on, withdrawn_on NULLS LAST)
UNION ALL
SELECT row, source_id, source_line, file, {keys}, known_on, was_superseded_on, 'restated', known_on
FROM versions WHERE is_restated
UNION ALL
SELECT row, source_id, source_line, file, {keys}, known_on, was_superseded_on,
    CASE WHEN place = 1 THEN 'disputed' ELSE 'duplicate' END,
    CASE WHEN place = 1 OR row IS NULL THEN known_on END
FROM ranked WHERE place > 1 OR is_disputed
UNION ALL
SELECT row, source_id, source_line, file, {keys}, known_on, was_superseded_on, 'restated', known_on
FROM told WHERE is_yielding OR (is_restored AND has_other)
"""
