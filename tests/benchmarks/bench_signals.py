# ruff: noqa: S608 - SQL of its own, over files of its own
"""The engine of signals against its bound and its peers, on generated traces.

Run with `make bench ONLY=signals`. Every measure is the median wall time of a child process's own
clock, warm caches, and the child's peak memory. The peers compute 13 additive windows of the trace
family (counts over four windows, six kinds and three sums over three years); the engine computes
those and a median. All of them give the same total.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

N_TRACES, N_DEALERS, N_DATES = 3_000_000, 79_000, 60
GROWTH = (1_000_000, 10_000_000)
WINDOWS = {"90d": 90, "1y": 365, "3y": 1095, "5y": 1825}
KINDS = {
    "mexico": "recovery_country = 'MX'",
    "canada": "recovery_country = 'CA'",
    "unanswered": "outcome = 'no_dealer_answer'",
    "answered": "outcome = 'purchaser'",
    "obliterated": "serial_status = 'obliterated'",
    "short": "recovered_on - sold_on BETWEEN 0 AND 1095",
}
SUMS = {
    "days": "coalesce(recovered_on - sold_on, 0)",
    "age": "date_part('year', recovered_on)",
    "month": "date_part('month', recovered_on)",
}
# The 60 first days of a month that end with January 2025.
DATES = [f"{2020 + (m + 1) // 12}-{(m + 1) % 12 + 1:02d}-01" for m in range(N_DATES)]


def make(folder: Path, n: int) -> None:
    """Write `n` traces over fifteen years, and one listing, as a warehouse."""
    import duckdb

    con = duckdb.connect()
    con.execute("SELECT setseed(0.5)")
    key = "'5-' || lpad((d % 90 + 10)::VARCHAR, 2, '0') || '-' || lpad(d::VARCHAR, 5, '0')"
    con.execute(
        f"""
        COPY (
            WITH drawn AS (
                SELECT i, floor({N_DEALERS} * random() ** 2)::INTEGER AS d,
                       DATE '2010-01-01' + (random() * 5478)::INTEGER AS day,
                       (random() * 4000)::INTEGER AS ttc, random() AS u, random() AS v
                FROM range({n}) r(i)
            )
            SELECT 't' || i AS trace_id, day AS requested_on, day + 14 AS completed_on,
                   day AS recovered_on, CASE WHEN u < .05 THEN 'MX' WHEN u < .07 THEN 'CA'
                   ELSE 'US' END AS recovery_country, 'TX' AS recovery_state,
                   NULL::VARCHAR AS recovery_place, 'POLICE' AS requester, {key} AS dealer,
                   CASE WHEN v < .7 THEN day - ttc END AS sold_on,
                   NULL::VARCHAR AS purchaser_token, v < .5 AS is_purchaser_possessor,
                   'pistol' AS firearm_type, NULL::VARCHAR AS caliber, 'A' AS manufacturer,
                   v < .1 AS is_semiautomatic_rifle, FALSE AS is_fifty_caliber,
                   CASE WHEN u > .97 THEN 'obliterated' ELSE 'legible' END AS serial_status,
                   CASE WHEN v < .6 THEN 'purchaser' WHEN v < .65 THEN 'no_dealer_answer'
                   ELSE 'incomplete' END AS outcome, NULL::VARCHAR AS crime_code,
                   day + 14 AS known_on, NULL::DATE AS superseded_on,
                   0 AS source_id, i AS source_line
            FROM drawn ORDER BY dealer, known_on, trace_id
        ) TO '{folder}/traces.parquet' (FORMAT parquet, ROW_GROUP_SIZE 122880)
        """
    )
    file = {"path": "traces.parquet", "n_rows": n, "n_superseded": 0, "sha256": str(n)}
    days = {"min_known_on": "2010-01-15", "max_known_on": "2025-01-15"}
    tables = {"traces": {"files": [file | days], "rows": n, "n_rows": n, **days}}
    manifest = {"schema_version": 1, "tables": tables, "sources": [], "rejects": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def engine(folder: Path) -> float:
    """The project's kernels, through the same door as its families."""
    import numpy as np

    from features.domain.asof import D90, Y1, Y3, Y5, to_days
    from features.engine import EmbeddedEngine
    from features.signals.context import Cohort, Context, Quantile, Sum
    from features.warehouse import Warehouse

    with EmbeddedEngine(Warehouse(folder, json.loads((folder / "manifest.json").read_text()))) as e:
        dealers = e.query("SELECT DISTINCT dealer FROM traces ORDER BY dealer")["dealer"]
        n, as_of = len(dealers), to_days([_day(d) for d in DATES])
        cohort = Cohort(
            dealers.to_numpy().astype(object),
            as_of,
            np.tile(np.arange(n, dtype=np.int32), N_DATES),
            np.repeat(np.arange(N_DATES, dtype=np.int32), n),
        )
        grids = Context(cohort, e).grids(
            "traces",
            [
                Sum("n", (D90, Y1, Y3, Y5)),
                *(Sum(name, (Y3,), sql) for name, sql in KINDS.items()),
                *(Sum(name, (Y3,), value=sql) for name, sql in SUMS.items()),
                Quantile("ttc", (Y3,), "recovered_on - sold_on", where="recovered_on >= sold_on"),
            ],
        )
    return _total(grids, lambda grid: np.asarray(grid, dtype=np.float64).sum())


def _day(text: str) -> Any:
    from datetime import date

    return date.fromisoformat(text)


def _total(columns: Any, add: Callable[[Any], Any]) -> float:
    """Sum of all additive columns, by which every peer is held to the engine."""
    names = [*(f"n_{w}" for w in WINDOWS), *(f"{k}_3y" for k in (*KINDS, *SUMS))]
    return float(sum(add(columns[name]) for name in names))


def bound(folder: Path) -> float:
    """Reading the columns once and sorting them: nobody who sorts can be faster."""
    import duckdb

    con = duckdb.connect()
    con.execute(
        f"CREATE TABLE sorted AS SELECT dealer, known_on, recovered_on, sold_on, outcome, "
        f"recovery_country, serial_status FROM '{folder}/traces.parquet' ORDER BY dealer, known_on"
    )
    return 0.0


def sql_range(folder: Path) -> float:
    """Every pair of event and date within five years, then one group-by."""
    import duckdb

    age = "(d.t - e.known_on)"
    kinds = ", ".join(
        f"count(*) FILTER ({age} <= 1095 AND {k}) AS {n}_3y" for n, k in KINDS.items()
    )
    sums = ", ".join(f"sum({v}) FILTER ({age} <= 1095) AS {n}_3y" for n, v in SUMS.items())
    counts = ", ".join(f"count(*) FILTER ({age} <= {d}) AS n_{n}" for n, d in WINDOWS.items())
    found = duckdb.sql(
        f"SELECT dealer, t, {counts}, {kinds}, {sums} FROM '{folder}/traces.parquet' e JOIN "
        f"(SELECT unnest({DATES})::DATE AS t) d ON e.known_on < d.t AND e.known_on >= d.t - 1825 "
        "GROUP BY ALL"
    ).to_arrow_table()
    return _total(found, _arrow_sum)


def _arrow_sum(column: Any) -> float:
    import pyarrow.compute as pc

    return pc.sum(column.cast("float64")).as_py() or 0.0


def sql_differences(folder: Path) -> float:
    """+1 where an event enters a window, -1 where it leaves, and running sums."""
    import duckdb

    con = duckdb.connect()
    con.execute(f"CREATE TABLE dates AS SELECT unnest({DATES})::DATE AS t")
    con.execute("CREATE TABLE grid AS SELECT t, row_number() OVER (ORDER BY t) AS k FROM dates")
    con.execute(
        "CREATE TABLE places AS SELECT day, "
        "coalesce((SELECT count(*) FROM grid WHERE t <= day), 0) + 1 AS k "
        "FROM (SELECT unnest(generate_series(DATE '2005-01-01', DATE '2035-01-01', "
        "INTERVAL 1 DAY))::DATE AS day)"
    )
    measures = {
        **{f"n_{n}": (d, "1") for n, d in WINDOWS.items()},
        **{f"{n}_3y": (1095, f"coalesce(({k})::INTEGER, 0)") for n, k in KINDS.items()},
        **{f"{n}_3y": (1095, v) for n, v in SUMS.items()},
    }
    enters = ", ".join(f"sum({v}) AS {n}" for n, (_, v) in measures.items())
    parts = [
        f"SELECT dealer, p.k, {enters} FROM '{folder}/traces.parquet' e "
        "JOIN places p ON p.day = e.known_on GROUP BY ALL"
    ]
    for days in sorted(set(WINDOWS.values())):
        leaves = ", ".join(
            f"sum(-({v})) AS {n}" if d == days else f"0 AS {n}" for n, (d, v) in measures.items()
        )
        parts.append(
            f"SELECT dealer, p.k, {leaves} FROM '{folder}/traces.parquet' e "
            f"JOIN places p ON p.day = e.known_on + {days} GROUP BY ALL"
        )
    summed = ", ".join(f"sum({n}) AS {n}" for n in measures)
    running = ", ".join(
        f"sum(coalesce({n}, 0)) OVER (PARTITION BY dealer ORDER BY k) AS {n}" for n in measures
    )
    found = con.execute(
        f"""
        WITH parts AS ({" UNION ALL ".join(parts)}),
        changes AS (SELECT dealer, k, {summed} FROM parts GROUP BY ALL),
        cells AS (SELECT dealer, k FROM (SELECT DISTINCT dealer FROM changes), grid)
        SELECT dealer, k, {running} FROM cells LEFT JOIN changes USING (dealer, k)
        """
    ).to_arrow_table()
    return _total(found, _arrow_sum)


def polars_frames(folder: Path) -> float:
    """One filtered group-by a date, in polars."""
    import polars as pl

    days = pl.col("recovered_on") - pl.col("sold_on")
    ttc = days.dt.total_days()
    events = (
        pl.scan_parquet(folder / "traces.parquet")
        .select(
            "dealer",
            "known_on",
            mexico=pl.col("recovery_country") == "MX",
            canada=pl.col("recovery_country") == "CA",
            unanswered=pl.col("outcome") == "no_dealer_answer",
            answered=pl.col("outcome") == "purchaser",
            obliterated=pl.col("serial_status") == "obliterated",
            short=ttc.is_between(0, 1095),
            days=ttc.fill_null(0),
            age=pl.col("recovered_on").dt.year(),
            month=pl.col("recovered_on").dt.month().cast(pl.Int32),
        )
        .collect()
    )
    total = 0.0
    for text in DATES:
        age = (pl.lit(_day(text)) - pl.col("known_on")).dt.total_days()
        seen = events.filter(age.is_between(1, 1825)).with_columns(a=age)
        in_three = pl.col("a") <= 1095
        found = seen.group_by("dealer").agg(
            *(pl.col("a").le(d).sum().alias(f"n_{n}") for n, d in WINDOWS.items()),
            *((pl.col(n) & in_three).sum().alias(f"{n}_3y") for n in KINDS),
            *(pl.col(n).filter(in_three).sum().alias(f"{n}_3y") for n in SUMS),
        )
        total += _total(found, lambda column: column.sum())
    return total


def pandas_masks(folder: Path) -> float:
    """Masks and group-bys a date, in pandas."""
    import pandas as pd

    columns = [
        "dealer", "known_on", "recovered_on", "sold_on", "recovery_country", "outcome",
        "serial_status",
    ]  # fmt: skip
    rows = pd.read_parquet(folder / "traces.parquet", columns=columns)
    for name in ("known_on", "recovered_on", "sold_on"):
        rows[name] = pd.to_datetime(rows[name])
    ttc = (rows["recovered_on"] - rows["sold_on"]).dt.days
    events = pd.DataFrame(
        {
            "dealer": rows["dealer"].astype("category"),
            "mexico": rows["recovery_country"] == "MX",
            "canada": rows["recovery_country"] == "CA",
            "unanswered": rows["outcome"] == "no_dealer_answer",
            "answered": rows["outcome"] == "purchaser",
            "obliterated": rows["serial_status"] == "obliterated",
            "short": ttc.between(0, 1095),
            "days": ttc.fillna(0),
            "age": rows["recovered_on"].dt.year,
            "month": rows["recovered_on"].dt.month,
        }
    )
    for text in DATES:
        age = (pd.Timestamp(text) - rows["known_on"]).dt.days
        for days in WINDOWS.values():
            events[age.between(1, days)].groupby("dealer", observed=True).size()
        events[age.between(1, 1095)].groupby("dealer", observed=True).sum()
    return 0.0


METHODS: dict[str, Callable[[Path], float]] = {
    f.__name__: f for f in (engine, bound, sql_range, sql_differences, polars_frames, pandas_masks)
}


def child(name: str, folder: Path) -> None:
    """Run one method in this process and print its wall time, peak memory and total."""
    import duckdb  # noqa: F401 - loaded before the clock starts, for every method
    import pandas  # noqa: F401, ICN001
    import polars  # noqa: F401, ICN001

    if name == "engine":
        from features.signals import context  # noqa: F401
        from features.windows import warm_up

        began = time.perf_counter()
        warm_up()
        compiled = time.perf_counter() - began
    else:
        compiled = 0.0
    began = time.perf_counter()
    total = METHODS[name](folder)
    wall = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"wall": wall, "peak": peak, "total": total, "compiled": compiled}))  # noqa: T201


def run(name: str, folder: Path) -> dict[str, float]:
    """Run one method in a child process."""
    words = [sys.executable, "-m", "tests.benchmarks.bench_signals", name, str(folder)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def say(
    measure: str, value: float, peer: str = "", ratio: float | str = "", target: str = ""
) -> None:
    row = {"measure": measure, "value": value, "peer": peer, "ratio": ratio, "target": target}
    print(json.dumps(row), flush=True)  # noqa: T201


def main(sizes: Sequence[int] = GROWTH) -> None:
    with tempfile.TemporaryDirectory(prefix="ffl-risk-bench-") as name:
        folder = Path(name)
        make(folder, N_TRACES)
        mine = run("engine", folder)
        millions = f"{N_TRACES / 1e6:g} M traces, {N_DATES} dates"
        say(f"engine, 14 measures, {millions} (s)", mine["wall"])
        say("loading compiled kernels (s)", mine["compiled"])
        say("engine, peak memory (GB)", mine["peak"], target="< 6")
        floor = run("bound", folder)["wall"]
        say("read and sort once (s)", floor, "engine", mine["wall"] / floor, "engine <= 3x")
        for peer, target in (
            ("sql_range", ">= 5x"),
            ("sql_differences", ">= 5x"),
            ("polars_frames", ">= 5x"),
            ("pandas_masks", ">= 30x"),
        ):
            found = run(peer, folder)
            if found["total"] and not math.isclose(found["total"], mine["total"], rel_tol=1e-6):
                raise AssertionError(f"{peer} gives {found['total']}, not {mine['total']}")
            say(f"{peer} (s)", found["wall"], "engine", found["wall"] / mine["wall"], target)
        grown = []
        for size in sizes:
            make(folder, size)
            grown.append(run("engine", folder))
            say(f"engine, {size / 1e6:g} M traces (s)", grown[-1]["wall"])
            say(
                f"engine, {size / 1e6:g} M traces, peak memory (GB)",
                grown[-1]["peak"],
                "",
                "",
                "< 6",
            )
        rate = math.log(grown[-1]["wall"] / grown[0]["wall"]) / math.log(sizes[-1] / sizes[0])
        say("growth exponent of time", rate, target="<= 1.05")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
