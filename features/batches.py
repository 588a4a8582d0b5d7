"""Batches: sorted, immutable Parquet files, written by DuckDB into the draft of a warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from features.manifest import Draft
from features.schema import STORED_COLUMNS, TABLES
from features.sources.layout import literal, quoted

# A dictionary pays for codes, not for names and numbers: without one they pack smaller and faster.
FORMAT: Final = (
    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880, "
    "DICTIONARY_SIZE_LIMIT 2000)"
)


def scan(files: Sequence[str]) -> str:
    """Return the SQL expression that reads the Parquet `files`."""
    return f"read_parquet([{', '.join(map(literal, files))}], hive_partitioning=false)"


def live(draft: Draft, table: str) -> list[str]:
    """Return where the live files of `table` are now, staged ones included."""
    return [str(draft.location(file)) for file in draft.files(table) if file["n_rows"]]


def stored_columns(table: str) -> list[str]:
    """Return the columns of a batch, in order."""
    return [column.name for column in (*TABLES[table].columns, *STORED_COLUMNS)]


def sort_key(table: str) -> list[str]:
    """Return the columns by which each batch is sorted.

    A total order: of each key a table holds one row a day on which it was known.
    """
    names = TABLES[table].names
    leading = [name for name in ("dealer",) if name in names]
    rest = [name for name in TABLES[table].key if name not in leading]
    return [*map(quoted, [*leading, "known_on", *rest])]


def write_batch(con: Any, draft: Draft, table: str, query: str) -> None:
    """Write the rows of `query` as the next batch of `table`, sorted."""
    name, staged = draft.next_file(table)
    con.execute(
        f"COPY (SELECT * FROM ({query}) ORDER BY {', '.join(sort_key(table))}) "
        f"TO {literal(str(staged))} {FORMAT}"
    )
    n_rows, first, last, n_superseded = con.execute(
        "SELECT count(*), min(known_on), max(known_on), count(superseded_on) "
        f"FROM {scan([str(staged)])}"
    ).fetchone()
    ranges = {
        "n_rows": n_rows,
        "min_known_on": first.isoformat(),
        "max_known_on": last.isoformat(),
        "n_superseded": n_superseded,
    }
    draft.add(table, name, staged, ranges)


def rewrite_batch(con: Any, draft: Draft, table: str, *, place: str, query: str) -> None:
    """Replace the live file at `place` by the rows of `query`."""
    old = next(f["path"] for f in draft.files(table) if str(draft.location(f)) == place)
    write_batch(con, draft, table, query)
    draft.drop(table, old)
