"""The signals against their bound and their peers, on the simulated country.

`make bench ONLY=signals` runs it all: 79,000 dealers by 60 month-ends over 10 million traces and
the other tables, then the growth with the traces and one new date. Every method is a child process
whose own clock and peak memory are read, and the seconds of processor, which tell more than the
clock when the machine is shared. With `FFL_RISK_BENCH_DIR` set, countries and results are kept
there: ``python -m tests.benchmarks.bench_signals all:bound traces:pandas_masks`` runs only what it
names and prints the table of all that was measured so far, ``report`` prints that alone.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.inputs.signals_country import bench_folder, warehouse_of

N_MILLION = 10
GROWTH = (1, 3, 10, 30, 100)
PANDAS_DATES = 3
FEATURETOOLS_DEALERS = 40
PEERS = ("sql_range", "sql_differences", "polars_frames", "pandas_masks", "featuretools")
SCOPE_METHODS = ("engine", "same_measures", "bound", "bound_of_read_columns", *PEERS)
Result = dict[str, Any]


def engine(warehouse: Path, scope: str) -> Result:
    """Build the panel: every listed dealer, every signal of the scope, reasons, fingerprint."""
    from features.table import build_features
    from features.warehouse import Warehouse
    from tests.benchmarks.peers.signals_peers import AS_OF

    families = ["traces"] if scope == "traces" else None
    dates = AS_OF[-1:] if scope == "date" else AS_OF
    table = build_features(Warehouse.open(warehouse), dates, families=families)
    return {"rows": len(table), "signals": len(table.signals)}


def same_measures(warehouse: Path, scope: str) -> Result:
    """Evaluate with the engine exactly what the peers compute; they are held to its total."""
    import numpy as np

    from features.domain.asof import Window, to_days
    from features.engine.context import Cohort, Context, Sum
    from features.engine.embedded import EmbeddedEngine
    from features.warehouse import Warehouse
    from tests.benchmarks.peers.signals_measures import SCOPES, sql_of
    from tests.benchmarks.peers.signals_peers import AS_OF

    total = 0.0
    with EmbeddedEngine(Warehouse.open(warehouse)) as used:
        for table, counts in SCOPES[scope].items():
            found = used.query(
                f"SELECT DISTINCT dealer FROM {table} WHERE dealer IS NOT NULL ORDER BY dealer"  # noqa: S608
            )
            n, k = found.num_rows, len(AS_OF)
            cohort = Cohort(
                found["dealer"].to_numpy().astype(object),
                to_days(AS_OF),
                np.tile(np.arange(n, dtype=np.int32), k),
                np.repeat(np.arange(k, dtype=np.int32), n),
            )
            sums = [Sum(c.name, (Window("w", c.days),), sql_of(c), c.value) for c in counts]
            grids = Context(cohort, used).grids(table, sums)
            total += sum(float(grid.sum(dtype=np.float64)) for grid in grids.values())
    return {"total": total}


def featuretools(warehouse: Path, scope: str) -> Result:
    """Run featuretools in its own environment on some dealers; give seconds for the whole panel."""
    from tests.benchmarks.peers.signals_subset import write_subset

    with tempfile.TemporaryDirectory(prefix="ffl-risk-featuretools-") as name:
        folder = Path(name)
        python = Path(os.environ.get("FFL_RISK_FEATURETOOLS_PYTHON", folder / "env/bin/python"))
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
            pip = [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "featuretools",
                "pyarrow",
                "pandas<3",
            ]
            if subprocess.run(pip, check=False, stdout=sys.stderr).returncode:
                return {"missing": "featuretools could not be installed"}
        n_rows = write_subset(warehouse, scope, folder, n_dealers=FEATURETOOLS_DEALERS)
        script = Path(__file__).with_name("featuretools_peer.py")
        done = subprocess.run(
            [str(python), str(script), str(folder)], check=True, stdout=subprocess.PIPE, text=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return {"wall": found["wall"] * n_rows / found["rows"], "subset": found["rows"]}


def compile_kernels(warehouse: Path, scope: str) -> Result:
    """Build one date with no compiled kernel on disk, then with all of them."""
    words = [sys.executable, "-m", "tests.benchmarks.bench_signals", "--child", "engine"]
    walls = []
    with tempfile.TemporaryDirectory(prefix="ffl-risk-numba-") as cache:
        for _ in range(2):
            began = time.perf_counter()
            subprocess.run(
                [*words, "date", str(warehouse)],
                check=True,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "NUMBA_CACHE_DIR": cache},
            )
            walls.append(time.perf_counter() - began)
    return {"wall": walls[0] - walls[1], "scope": scope}


def method(name: str) -> Callable[[Path, str], Result]:
    """Return a method by its name; a peer gives the sum of its numbers."""
    own = {f.__name__: f for f in (engine, same_measures, featuretools, compile_kernels)}
    if name in own:
        return own[name]
    from features.warehouse import Warehouse
    from tests.benchmarks.peers import signals_peers

    peer = getattr(signals_peers, name)

    def run(warehouse: Path, scope: str) -> Result:
        opened = Warehouse.open(warehouse)
        if name == "pandas_masks":
            return {"dates": PANDAS_DATES, "on_dates": peer(opened, scope, PANDAS_DATES)}
        return {"total": peer(opened, scope)}

    return run


def child(name: str, scope: str, warehouse: Path) -> None:
    """Run one method in this process; its imports and compiled kernels are loaded before."""
    import duckdb  # noqa: F401
    import pandas  # noqa: F401, ICN001
    import polars  # noqa: F401, ICN001

    run = method(name)
    if name == "engine":
        from features.engine.kernels import warm_up

        warm_up()
    began, cpu = time.perf_counter(), time.process_time()
    found = run(warehouse, scope)
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {"wall": wall, "cpu": time.process_time() - cpu, "peak": used.ru_maxrss / 2**20}
    print(json.dumps({**took, **found}))  # noqa: T201


class Bench:
    """What was measured so far, kept in the folder of the benchmark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "results.json"
        self.found = self._kept()

    def _kept(self) -> dict[str, Result]:
        kept: dict[str, Result] = json.loads(self.file.read_text()) if self.file.exists() else {}
        return kept

    def measure(self, part: str, name: str, million: int = N_MILLION) -> None:
        """Run one method in a child process and keep what it says."""
        warehouse = warehouse_of(self.folder, million)
        words = [sys.executable, "-m", "tests.benchmarks.bench_signals", "--child", name, part]
        done = subprocess.run(
            [*words, str(warehouse)], stdout=subprocess.PIPE, text=True, check=True
        )
        key = f"{part}:{name}" if million == N_MILLION else f"{part}:{name}:{million}"
        self.found = self._kept() | {key: json.loads(done.stdout.splitlines()[-1])}
        self.file.write_text(json.dumps(self.found, indent=1))

    def seconds(self, key: str, clock: str = "wall") -> float | None:
        """Seconds of a method for the whole panel, or None where it was not run."""
        found = self.found.get(key)
        if found is None or clock not in found:
            return None
        seconds = float(found[clock])
        if "dates" in found:
            seconds += found["on_dates"][clock] * (60 / found["dates"] - 1)
        return seconds


def say(measure: str, value: Any, peer: str = "", ratio: Any = "", target: str = "") -> None:
    row = {"measure": measure, "value": value, "peer": peer, "ratio": ratio, "target": target}
    print(json.dumps(row), flush=True)  # noqa: T201


TARGETS = {
    "bound": "engine <= 3x",
    "bound_of_read_columns": "engine <= 3x",
    **dict.fromkeys(("sql_range", "sql_differences", "polars_frames"), ">= 5x"),
    "pandas_masks": ">= 30x",
    "featuretools": ">= 500x",
}
NOTES = {
    "pandas_masks": f", from {PANDAS_DATES} of 60 dates",
    "featuretools": f", from {FEATURETOOLS_DEALERS} dealers by 60 dates",
}


def report(bench: Bench) -> None:
    """Print the table of all that was measured."""
    for scope in ("traces", "all"):
        _report_engine(bench, scope)
        for name, target in TARGETS.items():
            key = f"{scope}:{name}"
            if "missing" in bench.found.get(key, {}):
                say(key, bench.found[key]["missing"])
            elif key in bench.found:
                _check_total(bench, scope, key)
                _report_ratios(bench, scope, name, target)
    _report_growth(bench)
    for key, name, target in (
        ("date:engine", "one new date, all families", "< 20"),
        ("date:compile_kernels", "first call: compiling the kernels, once a machine", ""),
    ):
        if (wall := bench.seconds(key)) is not None:
            say(f"{name} (s)", wall, target=target)


def _report_engine(bench: Bench, scope: str) -> None:
    for name in ("engine", "same_measures"):
        found = bench.found.get(f"{scope}:{name}")
        if found:
            size = f", {found['rows']} rows x {found['signals']} signals" if "rows" in found else ""
            say(f"{scope}: {name}{size} (s)", found["wall"])
            say(f"{scope}: {name} (s of processor)", found["cpu"])
            say(f"{scope}: {name}, peak memory (GB)", found["peak"], target="< 6")


def _check_total(bench: Bench, scope: str, key: str) -> None:
    expected = bench.found.get(f"{scope}:same_measures", {}).get("total")
    total = bench.found[key].get("total")
    if expected and total and not math.isclose(total, expected, rel_tol=1e-6):
        raise AssertionError(f"{key} gives {total}, not {expected}")


def _report_ratios(bench: Bench, scope: str, name: str, target: str) -> None:
    """Compare with the whole build, and with the engine on the very measures of the peers."""
    is_bound = name.startswith("bound")
    for clock, words in (("wall", "s"), ("cpu", "s of processor")):
        if name == "featuretools" and clock == "cpu":
            continue
        other = bench.seconds(f"{scope}:{name}", clock)
        for mine in ("engine",) if is_bound else ("same_measures", "engine"):
            own = bench.seconds(f"{scope}:{mine}", clock)
            if own and other:
                ratio = own / other if is_bound else other / own
                aim = target if is_bound or mine == "same_measures" else ""
                say(f"{scope}: {name}{NOTES.get(name, '')} ({words})", other, mine, ratio, aim)


def _report_growth(bench: Bench) -> None:
    """Time and memory by the number of traces; the slope between sizes on logarithmic scales."""
    for start in ("traces:same_measures", "traces:engine", "all:engine"):
        points = []
        for million in GROWTH:
            key = start if million == N_MILLION else f"{start}:{million}"
            took = bench.seconds(key, "cpu")
            if took is not None:
                points.append((million, took))
                say(f"{start}, {million} M traces (s of processor)", took)
                say(f"{start}, {million} M traces (GB)", bench.found[key]["peak"], target="< 6")
        slopes = [
            math.log(b[1] / a[1]) / math.log(b[0] / a[0]) for a, b in itertools.pairwise(points)
        ]
        if slopes:
            whole = math.log(points[-1][1] / points[0][1]) / math.log(points[-1][0] / points[0][0])
            say(f"{start}: exponent of growth", whole, target="<= 1.05")
            say(f"{start}: exponent of the steepest step", max(slopes), target="<= 1.05")


def main(asked: list[str]) -> None:
    with bench_folder() as folder:
        bench = Bench(folder)
        if asked == ["report"]:
            asked = []
        elif not asked:
            asked = [f"{scope}:{name}" for scope in ("traces", "all")
                     for name in SCOPE_METHODS]  # fmt: skip
            asked += [f"traces:{name}:{m}" for name in ("same_measures", "engine")
                      for m in GROWTH if m != N_MILLION]  # fmt: skip
            asked += ["all:engine:1", "all:engine:3"]
            asked += ["date:engine", "date:compile_kernels"]
        for words in asked:
            part, name, *million = words.split(":")
            bench.measure(part, name, *map(int, million))
        report(bench)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main(sys.argv[1:])
