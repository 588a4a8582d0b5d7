"""Signals of many dealers at many dates, against the bound and against other ways to count them.

Prints one line of JSON a measure: ours, the peer, their ratio and the target of the ratio. Every
measure runs in a process of its own, so that its peak memory is its own; compiling is timed apart.
The events are invented: 79,000 dealers with a heavy tail, ten years, in Parquet sorted as the
warehouse keeps them.

Usage: ``python -m tests.benchmarks.bench_signals [--traces N] [--dealers N] [--dates N]
[--growth N ...] [--no-families]``; ``--growth 1000000 100000000`` goes up to 100 million.
"""
# ruff: noqa: S608 - the SQL is composed of this file's own constants

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from time import perf_counter

FIRST, LAST = date(2013, 1, 1), date(2023, 1, 1)
PANDAS_DATES = 2  # plain pandas is timed on this many dates and multiplied
TRACE_COLUMNS = (
    "dealer, known_on, superseded_on, trace_id, recovered_on, sold_on, recovery_country, "
    "recovery_state, outcome, serial_status, is_purchaser_possessor"
)
# The additive measures that every peer computes: name, window in days, condition.
MEASURES = tuple(
    (f"{name}_{days}", days, condition)
    for name, condition in (
        ("n", "TRUE"),
        ("mexico", "recovery_country = 'MX'"),
        ("short", "recovered_on - sold_on BETWEEN 0 AND 1095"),
        ("silent", "outcome = 'no_dealer_answer'"),
    )
    for days in (365, 1095, 1825)
)

_DEALER = "printf('%d-%02d-%05d', 1 + i % 9, 10 + i % 89, i)"
_TABLES = {
    "licenses": """
        SELECT {dealer} AS dealer, 'n' || i AS license_number,
               ['01','01','01','07','02'][1 + i % 5] AS license_type, NULL::DATE AS expires_on,
               day AS listed_on, 'NAME ' || i % 60000 AS licensee_name,
               NULL::VARCHAR AS business_name,
               i % 900 || ' MAIN ST' AS premises_street, 'TOWN' AS premises_city,
               ['TX','AZ','CA','VA','OH','FL'][1 + i % 6] AS premises_state,
               printf('%05d', 501 + i % 90000) AS premises_zip, NULL::VARCHAR AS mail_zip,
               ['48201','04013','06037','51059','39035','12086'][1 + i % 6] AS county_fips,
               25.0 + (i * 7919 % 20000) / 1000 AS latitude,
               -118.0 + (i * 104729 % 40000) / 1000 AS longitude, i % 7 = 0 AS is_residential,
               day AS known_on
        FROM range({dealers}) d(i), (SELECT unnest(generate_series(DATE '2013-01-01',
             DATE '2022-07-01', INTERVAL 6 MONTH))::DATE AS day)
        """,
    "traces": """
        SELECT 't' || e AS trace_id, known_on - 20 AS requested_on, known_on AS completed_on,
               known_on - 25 AS recovered_on,
               CASE WHEN e % 12 = 0 THEN 'MX' ELSE 'US' END AS recovery_country,
               CASE WHEN e % 12 = 0 THEN ['MX-SON','MX-TAM','MX-CHH'][1 + e % 3]
                    ELSE ['TX','AZ','CA','VA','OH','FL'][1 + e % 6] END AS recovery_state,
               NULL::VARCHAR AS recovery_place, 'POLICE' AS requester, {dealer} AS dealer,
               known_on - 25 - (-1200 * ln(1 - random()))::INTEGER AS sold_on,
               CASE WHEN e % 3 = 0 THEN md5((e // 2)::VARCHAR)[:16] END AS purchaser_token,
               e % 8 = 0 AS is_purchaser_possessor,
               ['pistol','rifle','revolver'][1 + e % 3] AS firearm_type, '9MM' AS caliber,
               'MAKER ' || e % 40 AS manufacturer, e % 9 = 0 AS is_semiautomatic_rifle,
               e % 900 = 0 AS is_fifty_caliber,
               ['legible','legible','obliterated','none'][1 + e % 4] AS serial_status,
               ['purchaser','dealer','no_dealer_answer'][1 + e % 3] AS outcome,
               NULL::VARCHAR AS crime_code, known_on
        FROM (SELECT e, floor({dealers} * pow(random(), 3))::BIGINT AS i,
                     DATE '2013-01-01' + (3650 * random())::INTEGER AS known_on
              FROM range({traces}) t(e))
        """,
    "sales_volume": """
        SELECT {dealer} AS dealer, day AS month, (200 * random())::BIGINT AS n_checks,
               (day + INTERVAL 2 MONTH)::DATE AS known_on
        FROM range({dealers}) d(i), (SELECT unnest(generate_series(DATE '2013-01-01',
             DATE '2022-10-01', INTERVAL 1 MONTH))::DATE AS day)
        """,
}


def make_warehouse(folder: Path, traces: int, dealers: int) -> None:
    """Write invented tables and a manifest beside them."""
    import duckdb

    from features.schema import TABLES

    con = duckdb.connect(config={"memory_limit": "3GB", "temp_directory": str(folder / "spill")})
    con.execute("SELECT setseed(0.5)")
    manifest: dict[str, object] = {}
    for name, sql in _TABLES.items():
        filled = sql.format(dealer=_DEALER, dealers=dealers, traces=traces)
        key = ", ".join(TABLES[name].key)
        path = folder / f"{name}.parquet"
        con.execute(
            f"COPY (SELECT *, NULL::DATE AS superseded_on, 0::INTEGER AS source_id, "
            f"0::BIGINT AS source_line FROM ({filled}) ORDER BY dealer, known_on, {key}) "
            f"TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )
        n, low, high = con.execute(
            f"SELECT count(*), min(known_on)::VARCHAR, max(known_on)::VARCHAR FROM '{path}'"
        ).fetchone()
        file = {"path": path.name, "sha256": name, "n_rows": n, "n_superseded": 0}
        file |= {"min_known_on": low, "max_known_on": high}
        manifest[name] = {"files": [file], "rows": n, "min_known_on": low, "max_known_on": high}
    content = {"schema_version": 1, "tables": manifest, "rejects": {}, "sources": []}
    (folder / "manifest.json").write_text(json.dumps(content))


def warehouse(folder: Path):
    from features.warehouse import Warehouse

    return Warehouse(folder, json.loads((folder / "manifest.json").read_text()))


def as_of_dates(n: int) -> list[date]:
    from features.domain.asof import month_ends

    return month_ends(FIRST, LAST)[-n:]


def ours_families(folder: Path, n_dates: int, families: list[str] | None) -> None:
    from features.table import build_features

    build_features(warehouse(folder), as_of_dates(n_dates), families=families)


def ours_measures(folder: Path, n_dates: int) -> float:
    """The measures that the peers compute, for all dealers, by the kernels."""
    import numpy as np

    from features.domain.asof import Window, to_days
    from features.engine import EmbeddedEngine
    from features.signals.context import Cohort, Context, Sum

    with EmbeddedEngine(warehouse(folder)) as engine:
        found = engine.query("SELECT DISTINCT dealer FROM licenses ORDER BY dealer")
        dealers = found["dealer"].to_numpy().astype(object)
        days = to_days(as_of_dates(n_dates))
        cohort = Cohort(
            dealers,
            days,
            np.tile(np.arange(len(dealers), dtype=np.int32), len(days)),
            np.repeat(np.arange(len(days), dtype=np.int32), len(dealers)),
        )
        measures = [Sum(n, (Window("w", d),), condition) for n, d, condition in MEASURES]
        grids = Context(cohort, engine).grids("traces", measures)
        return float(sum(grids[f"{name}_w"].sum(dtype=np.float64) for name, _, _ in MEASURES))


def _duckdb(folder: Path):
    import duckdb

    config = {"memory_limit": "8GB", "temp_directory": str(folder / "spill")}
    return duckdb.connect(config=config)


def bound(folder: Path, n_dates: int) -> None:
    """Read the columns that the trace family uses and sort them, once."""
    reader = _duckdb(folder).execute(
        f"SELECT {TRACE_COLUMNS} FROM '{folder}/traces.parquet' ORDER BY dealer, known_on, trace_id"
    )
    for _ in reader.to_arrow_reader(1_000_000):
        pass


def duckdb_range_join(folder: Path, n_dates: int) -> float:
    days = ", ".join(f"(DATE '{when}')" for when in as_of_dates(n_dates))
    counts = ", ".join(
        f"count(*) FILTER (known_on >= t - {days} AND ({where})) AS {name}"
        for name, days, where in MEASURES
    )
    con = _duckdb(folder)
    con.execute(
        f"CREATE TABLE out AS SELECT dealer, t, {counts} FROM (VALUES {days}) d(t) "
        f"JOIN '{folder}/traces.parquet' e ON e.known_on < d.t AND e.known_on >= d.t - 1825 "
        "GROUP BY dealer, t"
    )
    return _total(con)


def duckdb_differences(folder: Path, n_dates: int) -> float:
    """An event adds one where it enters each window and takes it back where it leaves."""
    con = _duckdb(folder)
    days = ", ".join(f"(DATE '{when}')" for when in as_of_dates(n_dates))
    con.execute(f"CREATE TABLE grid AS SELECT t, row_number() OVER (ORDER BY t) k "
                f"FROM (VALUES {days}) d(t)")  # fmt: skip
    enters = (
        "SELECT e.*, coalesce(g.k, 999) AS enter FROM "
        f"'{folder}/traces.parquet' e ASOF LEFT JOIN grid g ON g.t > e.known_on"
    )
    con.execute(f"CREATE VIEW entered AS {enters}")
    parts = []
    for window in sorted({days for _, days, _ in MEASURES}):
        mine = [(n, w) for n, d, w in MEASURES if d == window]
        plus = ", ".join(f"count(*) FILTER ({w}) AS {n}" for n, w in mine)
        minus = ", ".join(f"-count(*) FILTER ({w}) AS {n}" for n, w in mine)
        left = (
            "SELECT e.*, coalesce(g.k, 999) AS leave FROM entered e "
            f"ASOF LEFT JOIN grid g ON g.t > e.known_on + {window}"
        )
        parts.append(
            f"SELECT dealer, enter AS k, {plus} FROM entered GROUP BY ALL UNION ALL BY NAME "
            f"SELECT dealer, leave AS k, {minus} FROM ({left}) GROUP BY ALL"
        )
    sums = ", ".join(f"sum(coalesce({n}, 0)) AS {n}" for n, _, _ in MEASURES)
    runs = ", ".join(f"sum({n}) OVER w AS {n}" for n, _, _ in MEASURES)
    con.execute(
        f"CREATE TABLE out AS SELECT dealer, k, {runs} FROM ("
        f"SELECT p.dealer, g.k, {', '.join(f'coalesce({n}, 0) AS {n}' for n, _, _ in MEASURES)} "
        f"FROM (SELECT DISTINCT dealer FROM '{folder}/traces.parquet') p CROSS JOIN grid g "
        f"LEFT JOIN (SELECT dealer, k, {sums} FROM ({' UNION ALL BY NAME '.join(parts)}) "
        "GROUP BY ALL) s ON s.dealer = p.dealer AND s.k = g.k) "
        "WINDOW w AS (PARTITION BY dealer ORDER BY k)"
    )
    return _total(con)


def _total(con) -> float:
    """Sum of all counts, by which the ways to count are held to each other."""
    return float(
        con.execute(
            f"SELECT {' + '.join(f'sum({n})' for n, _, _ in MEASURES)} FROM out"
        ).fetchone()[0]
    )


def polars_group_by(folder: Path, n_dates: int) -> float:
    import polars as pl

    flags = {
        "n": pl.lit(value=True),
        "mexico": pl.col("recovery_country") == "MX",
        "short": (pl.col("recovered_on") - pl.col("sold_on")).dt.total_days().is_between(0, 1095),
        "silent": pl.col("outcome") == "no_dealer_answer",
    }
    events = (
        pl.scan_parquet(folder / "traces.parquet")
        .select(pl.col("dealer").cast(pl.Categorical), "known_on",
                **{f"is_{name}": flag for name, flag in flags.items()})
        .collect()
    )  # fmt: skip
    total = 0.0
    for when in as_of_dates(n_dates):
        age = (pl.lit(when) - pl.col("known_on")).dt.total_days()
        found = (
            events.lazy()
            .filter(age.is_between(1, 1825))
            .group_by("dealer")
            .agg(
                ((age <= days) & pl.col(f"is_{name.rsplit('_', 1)[0]}")).sum().alias(name)
                for name, days, _ in MEASURES
            )
            .collect()
        )
        total += sum(float(found[name].sum()) for name, _, _ in MEASURES)
    return total


def pandas_group_by(folder: Path, n_dates: int) -> None:
    """Plain pandas, `PANDAS_DATES` dates only."""
    import pandas as pd

    columns = ["dealer", "known_on", "recovery_country", "recovered_on", "sold_on", "outcome"]
    events = pd.read_parquet(folder / "traces.parquet", columns=columns)
    for name in ("known_on", "recovered_on", "sold_on"):
        events[name] = pd.to_datetime(events[name])
    events["dealer"] = events["dealer"].astype("category")
    gap = (events["recovered_on"] - events["sold_on"]).dt.days
    flags = {
        "n": True,
        "mexico": events["recovery_country"] == "MX",
        "short": gap.between(0, 1095),
        "silent": events["outcome"] == "no_dealer_answer",
    }
    for when in as_of_dates(PANDAS_DATES):
        age = (pd.Timestamp(when) - events["known_on"]).dt.days
        counted = {
            name: (age.between(1, days) & flags[name.rsplit("_", 1)[0]])
            for name, days, _ in MEASURES
        }
        pd.DataFrame(counted).groupby(events["dealer"], observed=False).sum()


def warm_up(folder: Path, n_dates: int) -> None:
    from features.windows import warm_up as compile_kernels

    compile_kernels()


RUNS = {
    "bound": bound,
    "warm_up": warm_up,
    "measures": ours_measures,
    "traces": lambda folder, n: ours_families(folder, n, ["traces"]),
    "all": lambda folder, n: ours_families(folder, n, None),
    "one_date": lambda folder, n: ours_families(folder, 1, None),
    "range_join": duckdb_range_join,
    "differences": duckdb_differences,
    "polars": polars_group_by,
    "pandas": pandas_group_by,
}


def child(name: str, folder: Path, n_dates: int) -> None:
    """Run one measure here and print its seconds and peak memory; imports are not counted."""
    import duckdb  # noqa: F401

    if name in {"measures", "traces", "all", "one_date", "warm_up"}:
        import features.table  # noqa: F401 - so that its imports are not timed
    if name in {"measures", "traces", "all", "one_date"}:
        warm_up(folder, n_dates)
    start = perf_counter()
    total = RUNS[name](folder, n_dates)
    seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"seconds": seconds, "peak_gb": peak, "total": total}))  # noqa: T201


def run(name: str, folder: Path, n_dates: int) -> tuple[float, float, float | None]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_signals", "--child", name,
         "--folder", str(folder), "--dates", str(n_dates)],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], found["peak_gb"], found["total"]


def tell(measure: str, value: float, peer: float | None = None, target: str = "") -> None:
    line = {"measure": measure, "value": round(value, 3)}
    if peer is not None:
        line |= {"peer": round(peer, 3), "ratio": round(peer / value, 3)}
    print(json.dumps(line | {"target": target}), flush=True)  # noqa: T201


def compare(folder: Path, n_dates: int, *, with_families: bool) -> None:
    floor = run("bound", folder, n_dates)[0]
    compiling = run("warm_up", folder, n_dates)[0]
    tell("loading compiled kernels, seconds", compiling)
    ours, peak, counted = run("measures", folder, n_dates)
    tell("12 measures, seconds; peer: read and sort once", ours, floor, "ratio >= 0.33")
    tell("12 measures, peak GB", peak, target="< 6")
    for name, words, target in (
        ("range_join", "DuckDB range join", "ratio >= 5"),
        ("differences", "DuckDB difference arrays", "ratio >= 5"),
        ("polars", "polars group-bys", "ratio >= 5"),
    ):
        theirs, _, total = run(name, folder, n_dates)
        if total != counted:
            raise SystemExit(f"{words} counts {total}, the kernels {counted}")
        tell(f"12 measures, seconds; peer: {words}", ours, theirs, target)
    plain = run("pandas", folder, n_dates)[0] * n_dates / PANDAS_DATES
    tell(f"12 measures, seconds; peer: pandas, {PANDAS_DATES} dates extrapolated", ours, plain,
         "ratio >= 30")  # fmt: skip
    for name in ("traces", "all", "one_date") if with_families else ():
        seconds, peak, _ = run(name, folder, n_dates)
        words = {"traces": "trace family", "all": "all families", "one_date": "all, one date"}[name]
        limit = "value <= 20" if name == "one_date" else "ratio >= 0.33"
        tell(f"{words}, seconds; peer: read and sort once", seconds, floor, limit)
        tell(f"{words}, peak GB", peak, target="< 6")


def growth(sizes: list[int], dealers: int, n_dates: int) -> None:
    """How time grows with the number of traces: the exponent between first and last size."""
    found = []
    for traces in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_warehouse(Path(folder), traces, dealers)
            seconds, peak, _ = run("measures", Path(folder), n_dates)
            found.append(seconds)
            tell(f"12 measures, {traces:,} traces, seconds", seconds)
            tell(f"12 measures, {traces:,} traces, peak GB", peak, target="< 6")
    if len(sizes) > 1:
        exponent = math.log(found[-1] / found[0]) / math.log(sizes[-1] / sizes[0])
        tell("exponent of time in traces", exponent, target="<= 1.05")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=10_000_000)
    parser.add_argument("--dealers", type=int, default=79_000)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--no-families", action="store_true")
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[1_000_000, 10_000_000, 30_000_000]
    )
    parser.add_argument("--child", choices=RUNS)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.folder, args.dates)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_warehouse(Path(folder), args.traces, args.dealers)
        compare(Path(folder), args.dates, with_families=not args.no_families)
    growth(args.growth, args.dealers, args.dates)


if __name__ == "__main__":
    main()
