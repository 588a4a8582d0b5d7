"""Ingest of a listing against `pandas.read_csv`, and reads as of a date against plain Parquet.

Prints one line of JSON a measure: the median seconds of ours and of the peer over alternating
runs in this process, their ratio, and the target that the ratio may not pass. The ratio of
processor time stands beside it, because other work on the machine hardly moves that.

The listing has 80,000 rows in the publisher's layout of 2013: the columns of the real listing that
ships, its sequence numbers replaced by invented ones, written to a temporary folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.ingest import ingest
from features.public_records import files as public_records
from features.warehouse import Warehouse

N_ROWS = 80_000
N_RUNS = 9


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time and the processor time of one run, in seconds."""
    start, worked = perf_counter(), process_time()
    run()
    return perf_counter() - start, process_time() - worked


def compare(
    measure: str, ours: Callable[[], object], peer: Callable[[], object], target: float
) -> bool:
    """Time both in turn, print the medians, and return whether the target holds."""
    ours(), peer()  # imports and caches
    runs = [(*timed(ours), *timed(peer)) for _ in range(N_RUNS)]
    value, cpu, other, other_cpu = (float(median(times)) for times in zip(*runs, strict=True))
    line = {
        "measure": measure,
        "value": round(value, 4),
        "peer": round(other, 4),
        "ratio": round(value / other, 3),
        "cpu_ratio": round(cpu / other_cpu, 3),
        "target": target,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    return value / other <= target


def write_listing(path: Path) -> None:
    """Write the listing of `N_ROWS` invented dealers."""
    real = pd.read_csv(
        public_records()[1], sep="\t", dtype=str, keep_default_na=False, encoding="latin-1"
    )
    rule, rows = real.iloc[:1], real.iloc[1:]
    many = pd.concat([rows] * (N_ROWS // len(rows) + 1), ignore_index=True).iloc[:N_ROWS].copy()
    n = pd.Series(range(N_ROWS))
    many["Lic Dist"] = (10 + n // 10_000).astype(str)
    many["Lic Seqn"] = (90_000 + n % 10_000).astype(str)
    pd.concat([rule, many]).to_csv(path, sep="\t", index=False, encoding="latin-1")


def bench_ingest(folder: Path) -> bool:
    """Time the ingest of the listing, into a new warehouse each time."""
    listing = folder / "listing_2013-05.txt"
    write_listing(listing)
    warehouse = folder / "warehouse"

    def ours() -> None:
        shutil.rmtree(warehouse, ignore_errors=True)
        ingest(listing, warehouse)

    def peer() -> pd.DataFrame:
        return pd.read_csv(listing, sep="\t", dtype=str, skiprows=[1], encoding="latin-1")

    return compare("ingest 80,000 listing rows / pandas.read_csv", ours, peer, 2.0)


def bench_read(folder: Path) -> list[bool]:
    """Time reads as of a date, with and without something to cut, against plain reads."""
    warehouse = Warehouse.open(folder / "warehouse")
    (file,) = warehouse.files("licenses")
    plain = compare(
        "read as of a date, one listing / plain Parquet read",
        lambda: warehouse.read("licenses", as_of=date(2013, 6, 1)),
        lambda: pq.read_table(file, partitioning=None),
        1.5,
    )
    corrected = folder / "corrected"
    ingest(_corrected(folder, warehouse), corrected, max_rejects=0.0)
    half = Warehouse.open(corrected)
    (file,) = half.files("seizures")
    cut = compare(
        "read as of a date that cuts half of the rows / plain Parquet read",
        lambda: half.read("seizures", as_of=date(2013, 6, 1)),
        lambda: pq.read_table(file, partitioning=None),
        1.5,
    )
    return [plain, cut]


def _corrected(folder: Path, warehouse: Warehouse) -> Path:
    """Write seizures of which half have a later version."""
    n = warehouse.read("licenses").num_rows // 2
    versions = [
        pa.table(
            {
                "seizure_id": [f"S{k}" for k in range(n)],
                "seized_on": [date(2013, 4, 1)] * n,
                "reported_on": [reported] * n,
                "agency": ["CBP"] * n,
                "port_code": [f"{port}{k % 40:02d}" for k in range(n)],
                "latitude": [27.5 + k / n for k in range(n)],
                "longitude": [-99.5 + k / n for k in range(n)],
                "firearm_type": ["rifle"] * n,
                "is_semiautomatic_rifle": [True] * n,
                "dealer": [f"1-{10 + k // 10_000}-{90_000 + k % 10_000}" for k in range(n)],
                "trace_id": [f"T{k}" for k in range(n)],
            }
        )
        for reported, port in ((date(2013, 5, 1), 23), (date(2013, 7, 1), 24))
    ]
    path = folder / "seizures.parquet"
    pq.write_table(pa.concat_tables(versions), path)
    return path


def main() -> None:
    """Run every measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_ingest(folder)
        bench_read(folder)


if __name__ == "__main__":
    main()
