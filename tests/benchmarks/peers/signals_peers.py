# ruff: noqa: S608 - SQL of its own, over files of its own
"""The peers of the signal benchmarks: how one would compute the same without the engine.

Every function takes a warehouse and a scope of `signals_measures`, and returns the sum of all its
numbers over all dealers and dates, to which the engine's own is held.
"""

from __future__ import annotations

import time
from datetime import date
from typing import Any

from features.domain.asof import month_ends
from features.schema import TABLES
from features.warehouse import Warehouse
from tests.benchmarks.peers.signals_measures import SCOPES, TTC, Count, columns_of, sql_of

AS_OF = month_ends(date(2019, 12, 1), date(2025, 1, 1))[-60:]
# Columns that no signal reads.
UNREAD = {"requester", "firearm_type", "caliber", "crime_code", "source_id", "source_line"}


def connect() -> Any:
    import duckdb

    return duckdb.connect(config={"memory_limit": "6GB", "preserve_insertion_order": False})


def bound(warehouse: Warehouse, scope: str, *, every_column: bool = True) -> float:
    """Read the tables that the families read, and sort each by dealer and day."""
    tables = ("licenses", "traces", "sales_volume") if scope == "traces" else tuple(TABLES)
    for table in tables:
        con = connect()
        names = [c for c in TABLES[table].names if every_column or c not in UNREAD]
        names += ["known_on", "superseded_on"]
        order = [c for c in ("dealer", "known_on") if c in names]
        con.execute(
            f"CREATE TABLE sorted AS SELECT {', '.join(dict.fromkeys(names))} "
            f"FROM {warehouse.scan(table)} ORDER BY {', '.join(order)}"
        )
        con.close()
    return 0.0


def bound_of_read_columns(warehouse: Warehouse, scope: str) -> float:
    """Read and sort only the columns that some signal reads."""
    return bound(warehouse, scope, every_column=False)


def sql_range(warehouse: Warehouse, scope: str) -> float:
    """Join every row to every date that sees it, then group once."""
    total = 0.0
    dates = ", ".join(f"DATE '{when}'" for when in AS_OF)
    for table, counts in SCOPES[scope].items():
        longest = max(c.days for c in counts)
        sums = ", ".join(f"{_sum(c, f'd.t - e.known_on <= {c.days}')} AS {c.name}" for c in counts)
        con = connect()
        con.execute(
            f"CREATE TABLE found AS SELECT dealer, t, {sums} FROM {warehouse.scan(table)} e "
            f"JOIN (SELECT unnest([{dates}]) AS t) d ON e.known_on < d.t "
            f"AND e.known_on >= d.t - {longest} "
            "AND d.t <= coalesce(e.superseded_on, DATE '9999-12-31') "
            "WHERE dealer IS NOT NULL GROUP BY ALL"
        )
        total += _sum_table(con, counts)
        con.close()
    return total


def _sum(count: Count, condition: str) -> str:
    what = f"sum({count.value})" if count.value else "count(*)"
    return f"{what} FILTER (WHERE {condition} AND {sql_of(count)})"


def _sum_table(con: Any, counts: tuple[Count, ...]) -> float:
    sums = " + ".join(f"coalesce(sum({c.name}), 0)" for c in counts)
    return float(con.execute(f"SELECT {sums} FROM found").fetchone()[0])


def sql_differences(warehouse: Warehouse, scope: str) -> float:
    """+1 where an event enters a window, -1 where it leaves, and running sums."""
    total = 0.0
    for table, counts in SCOPES[scope].items():
        con = connect()
        _days(con)
        rows = warehouse.scan(table)
        value = {c.name: f"CASE WHEN {sql_of(c)} THEN {c.value or 1} ELSE 0 END" for c in counts}
        enters = ", ".join(f"sum({value[c.name]}) AS {c.name}" for c in counts)
        where = "WHERE dealer IS NOT NULL GROUP BY ALL"
        parts = [
            f"SELECT dealer, p.k, {enters} FROM {rows} e JOIN days p ON p.day = e.known_on {where}"
        ]
        for span in sorted({c.days for c in counts}):
            leaves = ", ".join(
                f"sum(-({value[c.name]})) AS {c.name}" if c.days == span else f"0 AS {c.name}"
                for c in counts
            )
            end = f"least(e.known_on + {span}, coalesce(e.superseded_on, DATE '2049-01-01'))"
            parts.append(
                f"SELECT dealer, p.k, {leaves} FROM {rows} e JOIN days p ON p.day = {end} {where}"
            )
        summed = ", ".join(f"sum({c.name}) AS {c.name}" for c in counts)
        running = ", ".join(
            f"sum(coalesce({c.name}, 0)) OVER (PARTITION BY dealer ORDER BY k) AS {c.name}"
            for c in counts
        )
        con.execute(
            f"CREATE TABLE found AS WITH parts AS ({' UNION ALL '.join(parts)}), "
            f"changes AS (SELECT dealer, k, {summed} FROM parts GROUP BY ALL), "
            "cells AS (SELECT dealer, k FROM (SELECT DISTINCT dealer FROM changes), grid) "
            f"SELECT dealer, k, {running} FROM cells LEFT JOIN changes USING (dealer, k)"
        )
        total += _sum_table(con, counts)
        con.close()
    return total


def _days(con: Any) -> None:
    """Number of the first date after each day."""
    dates = ", ".join(f"DATE '{when}'" for when in AS_OF)
    con.execute(f"CREATE TABLE grid AS SELECT t, row_number() OVER (ORDER BY t) AS k "
                f"FROM (SELECT unnest([{dates}]) AS t)")  # fmt: skip
    con.execute(
        "CREATE TABLE days AS SELECT day::DATE AS day, "
        "(SELECT count(*) FROM grid WHERE t <= day) + 1 AS k FROM "
        "generate_series(DATE '1990-01-01', DATE '2050-01-01', INTERVAL 1 DAY) s(day)"
    )


def polars_frames(warehouse: Warehouse, scope: str) -> float:
    """One filtered group-by a date, in polars."""
    import polars as pl

    total = 0.0
    for table, counts in SCOPES[scope].items():
        names = ["dealer", "known_on", "superseded_on", *columns_of(counts)]
        rows = pl.scan_parquet(warehouse.files(table), hive_partitioning=False).select(names)
        rows = rows.filter(pl.col("dealer").is_not_null())
        if set(TTC) <= set(names):
            rows = rows.with_columns(ttc=(pl.col(TTC[0]) - pl.col(TTC[1])).dt.total_days())
        flags = {c.name: _polars(c).fill_null(value=False) for c in counts}
        values = {c.value: pl.col(c.value) for c in counts if c.value}
        days = ("dealer", "known_on", "superseded_on")
        events = rows.select(*days, **flags, **values).collect()
        longest = max(c.days for c in counts)
        for when in AS_OF:
            age = (pl.lit(when) - pl.col("known_on")).dt.total_days()
            in_force = (pl.col("superseded_on") >= when).fill_null(value=True)
            seen = events.filter(age.is_between(1, longest) & in_force).with_columns(a=age)
            found = seen.group_by("dealer").agg(
                (pl.col(c.value) if c.value else pl.lit(1))
                .filter(pl.col(c.name) & (pl.col("a") <= c.days)).sum().alias(f"{c.name}_")
                if c.value
                else (pl.col(c.name) & (pl.col("a") <= c.days)).sum().alias(f"{c.name}_")
                for c in counts
            )  # fmt: skip
            total += float(sum(found[f"{c.name}_"].sum() for c in counts))
    return total


def _polars(count: Count) -> Any:
    import polars as pl

    flag = pl.lit(value=True)
    for name, operator, value in count.tests:
        column = pl.col(name)
        test = {
            "is": lambda c, v: c == v,
            "in": lambda c, v: c.is_in(list(v)),
            "known": lambda c, _: c.is_not_null(),
            "true": lambda c, _: c,
            "false": lambda c, _: ~c,
            "upto": lambda c, v: c.is_between(0, v),
        }[operator](column, value)
        flag = flag & test
    return flag


def pandas_masks(warehouse: Warehouse, scope: str, dates: int) -> dict[str, float]:
    """Masks and group-bys a date, in pandas, for some of the dates.

    Returns the seconds that the dates took by both clocks, without those of reading, which comes
    once however many dates there are.
    """
    import numpy as np
    import pandas as pd

    took = {"wall": 0.0, "cpu": 0.0}
    for table, counts in SCOPES[scope].items():
        names = ["dealer", "known_on", "superseded_on", *columns_of(counts)]
        rows = pd.concat([pd.read_parquet(f, columns=names) for f in warehouse.files(table)])
        rows = rows[rows["dealer"].notna()].reset_index(drop=True)
        for name in names:
            if name.endswith("_on"):
                rows[name] = pd.to_datetime(rows[name])
        if set(TTC) <= set(names):
            rows["ttc"] = (rows[TTC[0]] - rows[TTC[1]]).dt.days
        flags = {c.name: _pandas(rows, c) for c in counts}
        dealer = rows["dealer"].astype("category")
        began, cpu = time.perf_counter(), time.process_time()
        for when in AS_OF[:: len(AS_OF) // dates]:
            age = (pd.Timestamp(when) - rows["known_on"]).dt.days
            in_force = rows["superseded_on"].isna() | (rows["superseded_on"] >= pd.Timestamp(when))
            for c in counts:
                is_in = flags[c.name] & age.between(1, c.days) & in_force
                value = rows[c.value] if c.value else pd.Series(np.int64(1), index=rows.index)
                value[is_in].groupby(dealer[is_in], observed=True).sum()
        took["wall"] += time.perf_counter() - began
        took["cpu"] += time.process_time() - cpu
    return took


def _pandas(rows: Any, count: Count) -> Any:
    flag = rows["known_on"].notna()
    for name, operator, value in count.tests:
        column = rows[name]
        match operator:
            case "is":
                test = column == value
            case "in":
                test = column.isin(value)
            case "known":
                test = column.notna()
            case "upto":
                test = column.between(0, value)
            case _:
                test = column.eq(operator == "true").fillna(value=False).astype(bool)
        flag &= test
    return flag
