"""Batches: sorted, immutable Parquet files, written by DuckDB into the draft of a warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from features.errors import WarehouseError
from features.schema import TABLES
from features.sql import literal, quoted
from features.warehouse.manifest import Draft

MEMORY_LIMIT: Final = "1500MB"
# Threads that share a load of less than this wait for each other longer than they save.
ONE_THREAD_BYTES: Final = 32 << 20
_FEW_BYTES: Final = 1 << 20

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


def sort_key(table: str) -> list[str]:
    """Return the columns by which each batch is sorted.

    A total order: of each key a table holds one row a day on which it was known, or several that
    are disputed, each from a line of its own.
    """
    names = TABLES[table].names
    leading = [name for name in ("dealer",) if name in names]
    rest = [name for name in TABLES[table].key if name not in leading]
    return [*map(quoted, [*leading, "known_on", *rest, "source_id", "source_line"])]


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


def engine_settings(draft: Draft, *, n_bytes: int | None = None) -> dict[str, str | int]:
    """Return the engine's settings: bounded memory, spilling beside the warehouse.

    Rows carry their line, so the engine need not keep them in order, which would cost memory. A
    load that is known to be small has one thread, and one of a few rows less preparation.
    """
    settings: dict[str, str | int] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(draft.staging / "spill"),
        "preserve_insertion_order": "false",
    }
    if n_bytes is not None and n_bytes < ONE_THREAD_BYTES:
        settings["threads"] = 1
    if n_bytes is not None and n_bytes < _FEW_BYTES:
        # It joins with a list of codes, and compares each expression of the checks with all others,
        # which for a few rows takes longer than the checks.
        settings["disabled_optimizers"] = "in_clause,common_subexpressions"
    return settings


def full_disk(error: duckdb.Error, warehouse: Path) -> WarehouseError:
    """Return the error that says that the engine could not write beside `warehouse`."""
    return WarehouseError(
        f"The warehouse at {warehouse} cannot be written; it is as it was before.",
        found=str(error).splitlines()[0],
        fix="free disk space (or raise the quota or file size limit) beside the warehouse, or "
        "name another one with --warehouse; then run the command again",
    )
