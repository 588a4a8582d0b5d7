"""The rows that a measure counted for one dealer, by name: what stands behind a signal's value.

The same views, conditions, windows and cut of time as in the kernels, so that what is named is what
was counted. Nothing compiled is loaded: one dealer's rows are few.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from features.domain.asof import Window, day_sql, in_force_sql, number_sql, to_day
from features.engine.embedded import rows_sql
from features.engine.measures import (
    Distinct,
    DistinctSum,
    Last,
    Measure,
    Quantile,
    Sum,
    quantile_names,
)
from features.engine.views import KEYS, VIEWS
from features.schema import TABLES
from features.warehouse.own_rows import OwnRows

# The records of one dealer: by table, their keys and the day each was known, the newest first.
Named = Mapping[str, Mapping[str, int]]
Rows = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Counted:
    """The events that a measure counts in one window.

    Parameters
    ----------
    view : str
        A table or a view of `VIEWS`.
    measure : Measure
    window : Window
    is_repeated : bool
        Of a `Distinct`: whether those alone whose value another of them has.
    """

    view: str
    measure: Measure
    window: Window
    is_repeated: bool = False


def counted(view: str, measures: Iterable[Measure]) -> dict[str, Counted]:
    """Return what each grid of some measures counts, by the grid's name.

    >>> list(counted("tips", [Sum("n", (Window("1y", 365),))]))
    ['n_1y']
    """
    found: dict[str, Counted] = {}
    for m in measures:
        if isinstance(m, Last):
            found |= {f"{m.name}_{c}": Counted(view, m, m.window) for c in (*m.columns, "known_on")}
        elif isinstance(m, Quantile):
            windows = (w for w in m.windows for _ in m.levels)
            found |= {
                n: Counted(view, m, w) for n, w in zip(quantile_names(m), windows, strict=True)
            }
        else:
            found |= {f"{m.name}_{w.name}": Counted(view, m, w) for w in m.windows}
        if isinstance(m, Distinct):
            found |= {f"{m.name}_repeated_{w.name}": Counted(view, m, w, True) for w in m.windows}
    return found


@cache
def tables_named(view: str) -> tuple[str, ...]:
    """Return the tables of which a row of a view names a record, the counted one first.

    >>> tables_named("citations"), tables_named("traces")
    (('violations', 'inspections'), ('traces',))
    """
    return tuple(t for t in _needs(view) if set(TABLES[t].key) <= set(KEYS[view]))


def named_rows(own: OwnRows, day: date, asked: Sequence[Counted]) -> list[Named]:
    """Return the records of a dealer that each of `asked` counted as of a day.

    Parameters
    ----------
    own : OwnRows
        The dealer's.
    day : date
        The as-of day.
    asked : sequence of Counted

    Returns
    -------
    list of mapping
        One for each of `asked`; tables without a record are left out.
    """
    found: dict[int, Named] = {}
    for view in dict.fromkeys(one.view for one in asked):
        here = [n for n, one in enumerate(asked) if one.view == view]
        if not all(own.has_before(table, day) for table in _needs(view)):
            continue
        measures: list[Measure] = []
        measures += (m for n in here if (m := asked[n].measure) not in measures)
        rows = _rows(own, view, day, measures)
        known = rows["_known"]
        names = {table: rows[f"_id_{table}"] for table in tables_named(view)}
        for n in here:
            place = measures.index(asked[n].measure)
            at = _places(rows, asked[n], place, to_day(day))
            if not len(at):
                continue
            found[n] = {table: _newest(ids[at], known[at]) for table, ids in names.items()}
    return [found.get(n, {}) for n in range(len(asked))]


def _newest(ids: npt.NDArray[Any], known: npt.NDArray[Any]) -> dict[str, int]:
    """Return each record once, with the newest of its days; they come the newest first."""
    found: dict[str, int] = {}
    for name, day in zip(ids.tolist(), known.tolist(), strict=True):
        if name not in found:
            found[name] = day
    return found


def relation(own: OwnRows, view: str) -> str:
    """Return the clause under which `view` is read from a dealer's own rows alone.

    Each row of a view has the dealer of the rows that it is made of, as far as those name one.
    """
    made = VIEWS.get(view)
    parts = (
        {} if made is None else {part: VIEWS[part].sql for part in made.parts} | {view: made.sql}
    )
    named = (
        {view}
        if made is None
        else TABLES.keys() & set(re.findall(r"\w+", " ".join(parts.values())))
    )
    clauses = {table: rows_sql(table, own.scan(table)) for table in sorted(named)} | parts
    return f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in clauses.items())} "


def _needs(view: str) -> tuple[str, ...]:
    return VIEWS[view].needs if view in VIEWS else (view,)


def _rows(own: OwnRows, view: str, day: date, measures: Sequence[Measure]) -> Rows:
    """Return the dealer's rows of a view in force on a day, the newest first."""
    columns = {"_known": number_sql("known_on")}
    for table in tables_named(view):
        key = (f"CAST({column} AS VARCHAR)" for column in TABLES[table].key)
        columns[f"_id_{table}"] = " || ' ' || ".join(key)
    for n, m in enumerate(measures):
        columns[f"_is_{n}"] = f"coalesce({_condition(m)}, FALSE)"
        if isinstance(m, Distinct):
            columns[f"_of_{n}"] = f"hash({m.value})"
        if isinstance(m, Last):
            columns[f"_of_{n}"] = f"coalesce(({m.by or '0'})::DOUBLE, 0)"
    wanted = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    keys = ", ".join(KEYS[view])
    sql = (
        f"{relation(own, view)}SELECT {wanted} FROM {view} WHERE dealer = $dealer "
        f"AND {in_force_sql(day_sql(day))} ORDER BY known_on DESC, {keys}"
    )
    table = own.query(sql, {"dealer": own.dealer}).to_arrow_table()
    return {name: table[name].to_numpy() for name in table.column_names}


def _condition(m: Measure) -> str:
    """Return the SQL condition of the events that a measure counts."""
    if isinstance(m, Sum):
        return f"({m.where})" + (f" AND coalesce(({m.value})::DOUBLE, 0) <> 0" if m.value else "")
    if isinstance(m, Last):
        return f"({m.where})"
    return f"({m.where}) AND ({m.of if isinstance(m, DistinctSum) else m.value}) IS NOT NULL"


def _places(rows: Rows, one: Counted, place: int, day: int) -> npt.NDArray[np.intp]:
    """Return which rows were counted, ascending."""
    is_in = rows[f"_is_{place}"] & (rows["_known"] >= day - one.window.days)
    at: npt.NDArray[np.intp] = np.flatnonzero(is_in)
    if isinstance(one.measure, Last) and len(at):
        rank = rows[f"_of_{place}"][at]
        at = at[rank == rank.max()]
        # Of those known last, as the kernel does, the one that is last by its key.
        at = at[rows["_known"][at] == rows["_known"][at[0]]][-1:]
    elif one.is_repeated:
        values: npt.NDArray[Any] = rows[f"_of_{place}"][at]
        _, which, n = np.unique(values, return_inverse=True, return_counts=True)
        at = at[n[which] > 1]
    return at
