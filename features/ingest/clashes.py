"""Which rows say different things of one key and day, asked before they are loaded.

The rule is that of a load (`features.ingest.versions`): of such rows none would stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import duckdb
import pyarrow as pa

from features.ingest.versions import disputes
from features.schema import TABLES
from features.sql import literal, quoted
from features.warehouse import Warehouse
from features.warehouse.stored import arrow_schema

# A row of the warehouse among those asked about.
STORED: Final = -1


def clashes(
    table: str, rows: Sequence[Mapping[str, Any]], warehouse: Warehouse | None = None
) -> dict[int, list[int]]:
    """Return which rows a load would find in dispute, and with which others.

    Parameters
    ----------
    table : str
        The table that they are of.
    rows : sequence of mapping
        Values as the warehouse stores them, dates in ISO format, each with its ``known_on``.
    warehouse : Warehouse, optional
        What is stored already.

    Returns
    -------
    dict of int to list of int
        By the place of a row the places of the rows that say something else, ascending; `STORED`
        stands for any row of the warehouse.

    Examples
    --------
    >>> tip = {"tip_id": "1", "received_on": "2026-01-02", "known_on": "2026-01-03"}
    >>> told = [tip | {"dealer": dealer} for dealer in ("1-10-00001", "1-10-00002", "1-10-00002")]
    >>> clashes("tips", told)
    {0: [1, 2], 1: [0], 2: [0]}
    """
    keys = Counter(tuple(row[name] for name in (*TABLES[table].key, "known_on")) for row in rows)
    days = sorted({row["known_on"] for row in rows})
    if warehouse is not None and not (days and warehouse.is_known_within(table, days[0], days[-1])):
        warehouse = None
    if warehouse is None and not any(n > 1 for n in keys.values()):
        return {}
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("told", _typed(table, rows))
        source = "SELECT * FROM told"
        if warehouse is not None and (stored := _stored(con, table, warehouse, days)):
            source += f" UNION ALL BY NAME {stored}"
        found = con.execute(disputes(table, f"({source})")).fetchall()
    out: dict[int, list[int]] = {}
    for place, other in found:
        if place != STORED:
            out.setdefault(place, []).append(other)
    return out


def _typed(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    schema = arrow_schema(table)
    columns: dict[str, Any] = {"place": pa.array(range(len(rows)), pa.int64())}
    for name in (*TABLES[table].names, "known_on"):
        kind = schema.field(name).type
        values = [row.get(name) for row in rows]
        if pa.types.is_date(kind):
            values = [None if one is None else date.fromisoformat(one) for one in values]
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def _stored(con: Any, table: str, warehouse: Warehouse, days: Sequence[str]) -> str:
    """Return SQL of the stored versions of the keys that are told of on one of the days."""
    keys = ", ".join(map(quoted, TABLES[table].key))
    names = ", ".join(map(quoted, (*TABLES[table].names, "known_on")))
    gone = ", ".join(["-1", *map(str, warehouse.withdrawn)])
    # What a withdrawal brought back has a line below nought, and yields to any other of its day.
    rows = (
        f"FROM {warehouse.scan(table)} s JOIN (SELECT DISTINCT {keys} FROM told) t USING ({keys}) "
        f"WHERE source_id NOT IN ({gone}) AND source_line >= 0"
    )
    # Most of what is stored was known before what a feed tells: its files are not read.
    span = f"s.known_on BETWEEN DATE {literal(days[0])} AND DATE {literal(days[-1])}"
    query = f"SELECT count(*) {rows} AND {span}"
    if not con.execute(query).fetchone()[0]:
        return ""
    return f"SELECT {STORED} AS place, {names} {rows}"
