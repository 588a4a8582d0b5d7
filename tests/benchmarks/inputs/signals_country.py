"""Simulated countries for the benchmarks of the signals, made once a folder.

`FFL_RISK_BENCH_DIR` names a folder to keep them in, so that a part of the benchmark can be run on
its own; without it they are made anew and removed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT = "FFL_RISK_BENCH_DIR"
# Scale of the simulation at which the country has about so many million traces.
SCALES = {1: 0.2, 3: 0.6, 10: 2.0}
# Beyond it, every trace stands in so many files: the same work for the engine, without the hour
# that simulating and loading them takes.
COPIES = {30: 3, 100: 10}


@contextmanager
def bench_folder() -> Iterator[Path]:
    """Give the folder of the benchmark."""
    kept = os.environ.get(KEPT)
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory(prefix="ffl-risk-bench-") as name:
        yield Path(name)


def warehouse_of(folder: Path, million: int) -> Path:
    """Return the warehouse of a country of 79,000 dealers, ten years and some million traces."""
    warehouse = folder / f"traces-{million}m"
    if (warehouse / "manifest.json").exists():
        return warehouse
    if million in COPIES:
        return _copied(warehouse_of(folder, 10), warehouse, COPIES[million])
    raw = folder / f"raw-{million}m"
    shutil.rmtree(raw, ignore_errors=True)
    words = ["--dealers", "79000", "--years", "10", "--traces-scale", str(SCALES[million])]
    _cli("simulate", *words, "--out", str(raw))
    shutil.rmtree(raw / "truth")
    _cli("ingest", str(raw), "--warehouse", str(warehouse))
    shutil.rmtree(raw)
    return warehouse


def _copied(source: Path, warehouse: Path, times: int) -> Path:
    """Make a warehouse like `source` in which every trace stands `times` times."""
    manifest = json.loads((source / "manifest.json").read_text())
    shutil.copytree(source, warehouse, ignore=shutil.ignore_patterns("manifest.json", ".*"))
    traces = manifest["tables"]["traces"]
    for file in list(traces["files"]):
        for copy in range(1, times):
            path = f"traces/copy={copy}/{Path(file['path']).parent.name}/part-0.parquet"
            (warehouse / path).parent.mkdir(parents=True)
            shutil.copy(source / file["path"], warehouse / path)
            traces["files"].append({**file, "path": path})
    traces["n_rows"] *= times
    (warehouse / "manifest.json").write_text(json.dumps(manifest))
    return warehouse


def _cli(*words: str) -> None:
    command = [sys.executable, "-m", "ffl_risk", *words, "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
