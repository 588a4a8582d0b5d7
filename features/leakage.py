"""Proof, on a user's own warehouse, that nothing from the future can move a signal.

For each as-of date two copies of the warehouse are made: one in which the future is *deleted*
(only rows known before the date, and no trace of their later corrections), and one in which false
rows, canaries, are *planted* in it: new rows dated after it, corrections of old rows made after
it, and old events that become known after it, with the values of other rows. A signal as of the
date must be the same, bit for bit, on the warehouse and on both copies.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from features.domain.asof import day_sql, known_sql, standing_sql
from features.schema import STORED_COLUMNS, TABLES, Table
from features.sql import literal, quoted
from features.table import FeatureTable, build_features
from features.warehouse import Warehouse

Build = Callable[[Warehouse, date], FeatureTable]
Tell = Callable[[str], object]

COPIES: Final = ("the future deleted", "false rows planted in the future")
# Planted rows come to be known on the date itself and up to this many days after it.
_SPREAD_DAYS: Final = 400
# Parts of keys that joins find a row by: with another name, a canary would be seen by nobody.
_JOINED: Final = frozenset({"dealer", "citation", "area", "name"})
# About how many rows of a table are copied into each kind of canary.
_PLANTED: Final = 200_000


@dataclass(frozen=True)
class Moved:
    """A signal that the future moved.

    Parameters
    ----------
    signal : str
        Its name; ``(dealers)`` when the dealers described are other ones.
    as_of : date
    copy : str
        One of `COPIES`.
    n_dealers : int
        Dealers whose value or reason moved.
    dealer : str
        One of them.
    """

    signal: str
    as_of: date
    copy: str
    n_dealers: int
    dealer: str


def prove(
    warehouse: Warehouse,
    dates: Sequence[date],
    *,
    build: Build = build_features,
    tell: Tell = lambda _: None,
) -> tuple[FeatureTable, list[Moved]]:
    """Build on the warehouse and on its altered copies, and compare bit for bit.

    Parameters
    ----------
    warehouse : Warehouse
    dates : sequence of date
        As-of dates, each proven alone.
    build : callable
        ``build(warehouse, as_of)`` returns a `FeatureTable`.
    tell : callable
        Called with each step, in words.

    Returns
    -------
    table : FeatureTable
        The last one built on the warehouse itself.
    moved : list of Moved
        Empty when nothing leaks.
    """
    moved: list[Moved] = []
    for when in dates:
        tell(f"as of {when}: the warehouse as it is")
        table = build(warehouse, when)
        for name, alter in zip(COPIES, (without_future, with_canaries), strict=True):
            tell(f"as of {when}: {name}")
            with tempfile.TemporaryDirectory(prefix="ffl-risk-proof-") as folder:
                other = build(alter(warehouse, when, Path(folder)), when)
            moved += _differences(table, other, when, name)
    return table, moved


def _differences(table: FeatureTable, other: FeatureTable, when: date, name: str) -> list[Moved]:
    mine, others = (t.frame["dealer"].to_numpy(object) for t in (table, other))
    if not np.array_equal(mine, others):
        only = sorted(set(mine) ^ set(others))
        return [Moved("(dealers)", when, name, len(only), only[0])]
    moved = []
    for signal in table.signals:
        a, b = (t.frame[signal.name].to_numpy(np.float32) for t in (table, other))
        why_a, why_b = (t.reasons[signal.name].to_numpy() for t in (table, other))
        is_other = (a.view(np.int32) != b.view(np.int32)) & ~(np.isnan(a) & np.isnan(b))
        is_other |= why_a != why_b
        if is_other.any():
            first = str(mine[np.argmax(is_other)])
            moved.append(Moved(signal.name, when, name, int(is_other.sum()), first))
    return moved


def without_future(warehouse: Warehouse, when: date, folder: Path) -> Warehouse:
    """Write a copy of `warehouse` as it would have been on the eve of a date."""
    day = day_sql(when)
    return _copied(
        warehouse,
        folder,
        lambda table: (
            f"""
        SELECT * REPLACE (CASE WHEN superseded_on < {day} THEN superseded_on END AS superseded_on)
        FROM {warehouse.scan(table.name)} WHERE {known_sql(day)}
        """
        ),
    )


def with_canaries(warehouse: Warehouse, when: date, folder: Path) -> Warehouse:
    """Write a copy of `warehouse` with false rows that became known on a date or after it."""
    return _copied(warehouse, folder, lambda table: _planted(warehouse, table, when))


def _copied(warehouse: Warehouse, folder: Path, query: Callable[[Table], str]) -> Warehouse:
    manifest: dict[str, Any] = copy.deepcopy(dict(warehouse.manifest))
    with duckdb.connect(config={"temp_directory": str(folder)}) as con:
        for name, table in TABLES.items():
            if not warehouse.has(name):
                continue
            path = folder / f"{name}.parquet"
            con.execute(f"COPY ({query(table)}) TO '{path}' (FORMAT parquet)")
            n, first, last = con.execute(
                f"SELECT count(*), min(known_on), max(known_on) FROM read_parquet('{path}')"
            ).fetchone()
            days = {"min_known_on": str(first), "max_known_on": str(last)} if n else {}
            file = {"path": path.name, "n_rows": n, "n_superseded": n, "sha256": "", **days}
            manifest["tables"][name] |= {"files": [file] if n else [], "rows": n, **days}
    return Warehouse(folder, manifest)


def _planted(warehouse: Warehouse, table: Table, when: date) -> str:
    """All rows of a table, some now corrected later on, and three kinds of false rows."""
    identity = f"hash({', '.join(map(quoted, table.key))}, known_on)"
    # Every other one comes to be known on the date itself, the first day that must not be seen.
    spread = f"greatest(({identity} % {2 * _SPREAD_DAYS})::INTEGER - {_SPREAD_DAYS}, 0)"
    day = f"(DATE '{when}' + {spread})"
    entry = warehouse.manifest["tables"][table.name]
    share = max(3, entry["rows"] // _PLANTED)
    # Rows in force on the date, a share of which is corrected after it.
    stands = f"{known_sql(day_sql(when))} AND {standing_sql(day)}"
    chosen = f"({stands}) AND {identity} % {share} = 0"
    rows = warehouse.scan(table.name)
    stored = ", ".join(c.name for c in STORED_COLUMNS if c.name.startswith("source"))

    def false_rows(replace: dict[str, str], condition: str) -> str:
        columns = ", ".join(
            f"{replace.get(c.name) or _shuffled(c.name, table)} AS {quoted(c.name)}"
            for c in table.columns
        )
        return (
            f"SELECT {columns}, {day} AS known_on, NULL::DATE AS superseded_on, {stored} "
            f"FROM {rows} WHERE {condition}"
        )

    same = {name: quoted(name) for name in table.key}
    shift = f"({day} - known_on)::INTEGER"
    dates = [c.name for c in table.columns if c.kind == "date"]
    backdated = (
        {c: quoted(c) for c in dates}
        | _new_key(table, "~b")
        | {c: f"{quoted(c)} - 17" for c in dates if c in table.key}
    )
    future = _new_key(table, "~f") | {c: f"{quoted(c)} + {shift}" for c in dates}
    return f"""
    SELECT * REPLACE (CASE WHEN {chosen} THEN {day} ELSE superseded_on END AS superseded_on)
    FROM {rows}
    UNION ALL BY NAME {false_rows(same, chosen)}
    UNION ALL BY NAME {false_rows(backdated, f"{identity} % {share} = 1")}
    UNION ALL BY NAME {false_rows(future, f"{identity} % {share} <= 1")}
    """


def _new_key(table: Table, suffix: str) -> dict[str, str]:
    """Give the canary a key of its own; what joins find it by stays as it is."""
    return {
        name: quoted(name) if name in _JOINED else f"{quoted(name)} || '{suffix}'"
        for name in table.key
        if table.column(name).kind == "string"
    }


def _shuffled(name: str, table: Table) -> str:
    """Value of the same column in another row, so that it is one the column may take."""
    column, key = quoted(name), ", ".join(map(quoted, table.key))
    return f"coalesce(lead({column}) OVER (ORDER BY hash({literal(name)}, {key})), {column})"
