"""The rows of a file as the relation ``raw``: streamed where one pass will do, else kept."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb

from features.errors import SourceError
from features.ingest.query_faults import UNFIT, not_askable, require_given
from features.sources.agency.lines import OWN_LINE
from features.sources.agency.register import LISTED_ON
from features.sources.files.source_file import SourceFile
from features.sources.layout import Join, Layout, Plan
from features.sources.rows.delimited import DAMAGED, LINE, OddRows, TextForm, open_rows
from features.sources.rows.parquet import is_read_here, open_days
from features.sql import as_text, literal, quoted

# All rows as they are read, the damaged ones too, which no query sees.
EXPORT_ROWS: Final = "export_rows"


@dataclass
class Opened:
    """What opening a file tells of it beside its rows.

    Parameters
    ----------
    odd : OddRows or None
        Rows that are none; None for typed files.
    notes : list of str
        What the summary should say.
    joined : list of tuple
        The same rows of each joined file, with its name.
    is_queried : bool
        Whether a query makes the rows: then damaged ones are not among them.
    """

    odd: OddRows | None = None
    notes: list[str] = field(default_factory=list)
    joined: list[tuple[str, OddRows]] = field(default_factory=list)
    is_queried: bool = False


def numbered(layout: Layout) -> str:
    """Return the note that lines named of a file are none, because a query makes its rows."""
    return (
        "a line that is named of these rows is the number of a row that the query of "
        f"{layout.name} gives, not a line of the file, because such a row may come from several"
    )


def open_raw(
    con: Any, source: SourceFile, layout: Layout, names: list[str], opened: ExitStack
) -> Opened:
    """Make the rows of `source` readable as ``raw``; return those that are none, and what to tell.

    Parameters
    ----------
    con : duckdb connection
        Gets the relation.
    source : SourceFile
        The file.
    layout : Layout
        What it is.
    names : list of str
        Its columns.
    opened : ExitStack
        Holds the file open while its rows are streamed.
    """
    con.execute("DROP VIEW IF EXISTS raw; DROP TABLE IF EXISTS raw_rows")
    found = Opened(is_queried=bool(layout.query))
    is_kept = not layout.is_read_once
    if layout.form is not None:
        found.odd = OddRows(len(names), layout.form.n_lines_to_rows, layout.form.delimiter)
        reader = opened.enter_context(open_rows(source, layout.form, names, found.odd))
        con.register("raw_reader" if is_kept else "raw", reader)
    else:
        rows = (
            f"(SELECT * EXCLUDE (file_row_number), file_row_number + 1 AS {LINE}, "
            f"false AS {DAMAGED} FROM read_parquet({literal(str(source.path))}, "
            "file_row_number=true, hive_partitioning=false))"
        )
        if is_read_here(source.path):
            con.register("raw_days", open_days(source.path))
            rows = "raw_days"
        name = "raw_reader" if is_kept else "raw"
        con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {_as_texts(con, rows)}")
    if is_kept:  # a stream can be read once only
        con.execute("CREATE OR REPLACE TEMP TABLE raw_rows AS SELECT * FROM raw_reader")
        relation = "raw_rows"
        for n, join in enumerate(layout.joins):
            relation = _joined(con, relation, join, n, opened, found)
        con.execute(f"CREATE OR REPLACE TEMP VIEW {EXPORT_ROWS} AS SELECT * FROM {relation}")
        relation = EXPORT_ROWS
        try:
            has_lines = _ask(con, relation, layout)
        except UNFIT as error:
            if not layout.query:
                raise
            described = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
            held = [row[0] for row in described if row[0] not in (LINE, DAMAGED)]
            raise not_askable(error, layout, source, held) from error
        if layout.query:
            require_given(con, layout)
        if not has_lines:
            found.notes.append(numbered(layout))
    return found


def _as_texts(con: Any, rows: str) -> str:
    """Return SQL for rows of Parquet in which bytes are texts, damaged where they are none.

    Some programs write texts as bytes without saying that they are text.
    """
    described = con.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
    columns = [quoted(row[0]) for row in described if row[1] == "BLOB"]
    if not columns:
        return f"SELECT * FROM {rows}"
    read = ", ".join(f"TRY(decode({name})) AS {name}" for name in columns)
    unread = " OR ".join(
        f"({name} IS NOT NULL AND TRY(decode({name})) IS NULL)" for name in columns
    )
    return f"SELECT * REPLACE ({read}, ({DAMAGED} OR {unread}) AS {DAMAGED}) FROM {rows}"


def texts_of(con: Any, layout: Layout, plan: Plan) -> tuple[str, ...]:
    """Return the columns of texts that a mapping made of a query's or a typed file's rows.

    None where no mapping did: then columns have types. The day that a register gives to every row
    is none of its texts.
    """
    if "mapping" not in layout.options or (layout.form is not None and not layout.query):
        return ()
    described = con.execute(f"DESCRIBE SELECT * FROM {plan.rows} AS source_rows").fetchall()
    own = (LINE, DAMAGED, LISTED_ON)
    return tuple(row[0] for row in described if row[1] == "VARCHAR" and row[0] not in own)


def _joined(
    con: Any, relation: str, join: Join, number: int, opened: ExitStack, found: Opened
) -> str:
    """Return the relation of rows with another file's columns beside theirs; tell who has none.

    A row is damaged where the one of the other file is.

    Raises
    ------
    SourceError
        When the other file has two rows of one key: each would make a row of its own.
    """
    other, key = f"joined_{number}", quoted(join.right)
    if join.form is None:
        _keep_parquet(con, join.source, other)
    else:
        found.joined.append((join.source.name, _keep_text(con, join, join.form, other, opened)))
    found.notes += _damaged_rows(con, join.source.name, other)
    kept = f"r.* REPLACE (r.{DAMAGED} OR coalesce(o.{DAMAGED}, false) AS {DAMAGED})"
    twice = con.execute(
        f"SELECT {key}, count(*) FROM {other} WHERE {key} IS NOT NULL "
        "GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 1"
    ).fetchone()
    if twice:
        raise SourceError(
            f"{join.source.name} has more than one row of a key, so it cannot be joined.",
            found=f"{twice[1]:,} rows of {join.right} {twice[0]!r}",
            expected="one row a key",
            fix="join the other way round, or make one row of several with `query`",
        )
    own_key = as_text(f"r.{quoted(join.left)}")
    n_rows, n_found = con.execute(
        f"SELECT count(*), count(o.{key}) FROM {relation} r LEFT JOIN {other} o "
        f"ON {own_key} = o.{key}"
    ).fetchone()
    if n_rows and not n_found:
        raise SourceError(
            f"No row finds its own in {join.source.name}.",
            found=f"{join.left} such as {_example(con, relation, join.left)}; {join.right} such as "
            f"{_example(con, other, join.right)}",
            expected="the same values in both",
            fix="correct the join; a spreadsheet may have eaten leading zeros of one of the two",
        )
    held = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
    own = [quoted(name) for name in join.names if name not in held]
    added = "".join(f", o.{name}" for name in own)
    if lonely := n_rows - n_found:
        found.notes.append(f"rows without one of their own in {join.source.name}: {lonely:,}")
    return f"(SELECT {kept}{added} FROM {relation} r LEFT JOIN {other} o ON {own_key} = o.{key})"


def _keep_text(con: Any, join: Join, form: TextForm, name: str, opened: ExitStack) -> OddRows:
    """Keep the rows of a file of text in the table `name`; return those that are none."""
    odd = OddRows(len(join.names), form.n_lines_to_rows, form.delimiter)
    reader = opened.enter_context(open_rows(join.source, form, list(join.names), odd))
    con.register("joined_reader", reader)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM joined_reader")
    con.unregister("joined_reader")
    odd.settle(con.execute(f"SELECT coalesce(max({LINE}), 0) FROM {name}").fetchone()[0])
    return odd


def _damaged_rows(con: Any, file: str, name: str) -> list[str]:
    n_damaged = con.execute(f"SELECT count(*) FROM {name} WHERE {DAMAGED}").fetchone()[0]
    if not n_damaged:
        return []
    return [
        f"rows of {file} that cannot be decoded: {n_damaged:,}; rows that they would be joined to "
        "are rejected"
    ]


def _example(con: Any, relation: str, name: str) -> str:
    row = con.execute(f"SELECT any_value({quoted(name)}) FROM {relation}").fetchone()
    return repr(row[0])


def _keep_parquet(con: Any, source: SourceFile, name: str) -> None:
    """Keep the rows of a file of Parquet as texts in the table `name`."""
    rows = f"(SELECT *, false AS {DAMAGED} FROM read_parquet({literal(str(source.path))}, "
    rows += "hive_partitioning=false))"
    if is_read_here(source.path):
        con.register("joined_days", open_days(source.path))
        rows = f"(SELECT * EXCLUDE ({LINE}) FROM joined_days)"
    others = f"COLUMNS(* EXCLUDE ({DAMAGED}))"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {as_text(others)}, {DAMAGED} "
        f"FROM ({_as_texts(con, rows)})"
    )


def _ask(con: Any, relation: str, layout: Layout) -> bool:
    """Make ``raw`` of the rows or of a query over them; return whether lines are the file's own."""
    if layout.lined_query:
        rows = (
            f"WITH export AS (SELECT * EXCLUDE ({LINE}, {DAMAGED}), {LINE} AS {OWN_LINE} "
            f"FROM {relation} WHERE NOT {DAMAGED}) SELECT * EXCLUDE ({OWN_LINE}), "
            f"CAST({OWN_LINE} AS BIGINT) AS {LINE}, false AS {DAMAGED} "
            f"FROM ({layout.lined_query})"
        )
        with suppress(*UNFIT):  # a sum over all rows, or what the query cannot name
            con.execute(f"CREATE TEMP VIEW raw AS {rows}")
            return True
    con.execute(f"CREATE TEMP VIEW raw AS {_queried(relation, layout.query)}")
    return not layout.query


def _queried(relation: str, query: str) -> str:
    """Return the query that gives ``raw``: the mapping's own over ``export``, or all rows."""
    if not query:
        return f"SELECT * FROM {relation}"
    # A query may group rows or leave the line out; then its rows are numbered.
    return (
        f"WITH export AS (SELECT * EXCLUDE ({LINE}, {DAMAGED}) FROM {relation} "
        f"WHERE NOT {DAMAGED}) "
        f"SELECT *, row_number() OVER () AS {LINE}, false AS {DAMAGED} FROM ({query})"
    )


def is_about_file(error: duckdb.Error, source: SourceFile) -> bool:
    """Tell a file that cannot be read from a disk or a memory that is full."""
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.FatalException):
        return False
    if isinstance(error, duckdb.IOException):
        return source.form == "parquet" and str(source.path) in str(error)
    return True


def damaged(error: duckdb.Error, source: SourceFile) -> SourceError:
    """Return the error that says that a file cannot be read."""
    return SourceError(
        f"{source.name} cannot be read; nothing of it was stored.",
        found=str(error).splitlines()[0],
        fix="check that the file is complete and what its ending says",
    )
