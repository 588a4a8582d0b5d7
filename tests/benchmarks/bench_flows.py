"""Following firearms at size: the whole country over five years, against reading its columns once.

`make bench ONLY=flows` follows 10 million traces of 79,000 dealers; with `FFL_RISK_BENCH_DIR` set,
``python -m tests.benchmarks.bench_flows 1 100`` follows other numbers of millions (100 is the 10
million ten times over). Each run is a process of its own; its clock, its seconds of processor and
its peak memory are read. The bound is one query that reads every column that a flow reads.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.inputs.signals_country import bench_folder, warehouse_of

TARGET_CLOCK = 10.0  # seconds for 10 million on two cores
TARGET_RATIO = 3.0  # over reading the columns once
COLUMNS = (
    "dealer", "known_on", "superseded_on", "sold_on", "recovered_on", "requested_on",
    "recovery_country", "recovery_state", "requester", "firearm_type", "caliber",
    "is_semiautomatic_rifle", "is_fifty_caliber", "serial_status", "outcome", "acquisition_route",
    "purchaser_token",
)  # fmt: skip


def flow(warehouse: Path) -> None:
    """Follow the country."""
    from features.insight.flows.follow import follow
    from features.insight.flows.subject import subject_of
    from features.warehouse import Warehouse
    from tests.benchmarks.peers.signals_peers import AS_OF

    found = follow(Warehouse.open(warehouse), subject_of("US"), AS_OF[-1])
    if not (found.n_traces and found.corridors):
        raise RuntimeError("nothing was followed")


def bound(warehouse: Path) -> None:
    """Read every column that a flow reads, once."""
    from features.engine.embedded import EmbeddedEngine
    from features.warehouse import Warehouse

    with EmbeddedEngine(Warehouse.open(warehouse)) as engine:
        used = ", ".join(f"sum(hash({name}) % 97)" for name in COLUMNS)
        engine.query(f"SELECT {used} FROM traces")  # noqa: S608


def measured(method: str, warehouse: Path) -> dict[str, float]:
    """Run a method in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_flows", "--run", method, str(warehouse)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def say(row: dict[str, object]) -> None:
    """Write one row of the answer."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def main(millions: list[int]) -> None:
    with bench_folder() as folder:
        for million in millions:
            warehouse = warehouse_of(folder, million)
            own, peer = (measured(method, warehouse) for method in ("flow", "bound"))
            for name in ("clock", "processor", "memory_gb"):
                row = {
                    "measure": f"follow the country, {million} million traces, {name}",
                    "value": own[name], "peer": peer[name], "ratio": own[name] / peer[name],
                    "target": {"clock": f"{TARGET_CLOCK:g} s at 10 million",
                               "processor": f"{TARGET_RATIO:g} times"}.get(name, "does not grow"),
                }  # fmt: skip
                say(row)


if __name__ == "__main__":
    if "--run" in sys.argv:
        start, busy = time.perf_counter(), time.process_time()
        {"flow": flow, "bound": bound}[sys.argv[2]](Path(sys.argv[3]))
        used = resource.getrusage(resource.RUSAGE_SELF)
        say(
            {
                "clock": time.perf_counter() - start,
                "processor": time.process_time() - busy,
                "memory_gb": used.ru_maxrss / 2**20,
            }
        )
    else:
        main([int(word) for word in sys.argv[1:]] or [10])
