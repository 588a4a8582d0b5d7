"""The rows of some dealers as plain Parquet files, for a peer in an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from features.warehouse import Warehouse
from tests.benchmarks.peers.signals_measures import SCOPES, sql_of
from tests.benchmarks.peers.signals_peers import AS_OF

N_DEALERS = 79_000


def write_subset(warehouse: Path, scope: str, folder: Path, *, n_dealers: int) -> int:
    """Write some dealers with their rows and flags; return how many rows the whole panel has.

    Every so-many-th dealer of those with a trace is taken, so that the subset has about the traces
    a dealer of the trade has.
    """
    opened = Warehouse.open(warehouse)
    con = duckdb.connect()
    con.execute(
        f"CREATE TABLE dealers AS SELECT dealer FROM (SELECT DISTINCT dealer FROM "  # noqa: S608
        f"{opened.scan('traces')} WHERE dealer IS NOT NULL) ORDER BY hash(dealer) LIMIT {n_dealers}"
    )
    con.execute(f"COPY dealers TO '{folder}/dealers.parquet' (FORMAT parquet)")
    spec: dict[str, dict[str, list[str] | list[int]]] = {"windows": {}, "columns": {}}
    for table, counts in SCOPES[scope].items():
        flags = {
            c.name: f"CASE WHEN {sql_of(c)} THEN {c.value or 1} ELSE 0 END::DOUBLE"
            for c in counts
            if c.tests or c.value
        }
        wanted = "".join(f", {sql} AS {name}" for name, sql in flags.items())
        con.execute(
            f"COPY (SELECT row_number() OVER () AS row, dealer, known_on{wanted} "  # noqa: S608
            f"FROM {opened.scan(table)} JOIN dealers USING (dealer)) "
            f"TO '{folder}/{table}.parquet' (FORMAT parquet)"
        )
        spec["windows"][table] = sorted({c.days for c in counts})
        spec["columns"][table] = list(flags)
    meta = {**spec, "dates": [str(when) for when in AS_OF]}
    (folder / "spec.json").write_text(json.dumps(meta))
    return N_DEALERS * len(AS_OF)
