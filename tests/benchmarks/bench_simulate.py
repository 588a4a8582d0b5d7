"""Time and memory of simulating a medium country and a full one.

Prints one line of JSON a measure: processor seconds (the machine may be shared), the target, and
the peak memory of the process. ``python -m tests.benchmarks.bench_simulate full`` adds the full
country and the twentyfold traces.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from time import process_time

from features.simulation.country.options import Options
from features.simulation.simulate import simulate

MEDIUM = ("medium: 20,000 dealers, 6 years", Options(dealers=20_000, years=6), 40.0)
FULL = (
    ("full: 79,000 dealers, 10 years", Options(), 120.0),
    ("full, 1 year, traces x 20", Options(years=1, traces_scale=20.0), 120.0),
)
MAX_GIGABYTES = 4.0


def main() -> int:
    """Run the countries asked for; return 1 when one misses its target."""
    is_within = True
    for measure, options, target in (MEDIUM, *(FULL if "full" in sys.argv[1:] else ())):
        with tempfile.TemporaryDirectory() as folder:
            start = process_time()
            simulate(options, Path(folder) / "country")
            seconds = process_time() - start
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        line = {
            "measure": measure,
            "value": round(seconds, 1),
            "peer": None,
            "ratio": round(seconds / target, 3),
            "target": target,
            "gigabytes": round(gigabytes, 2),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        is_within &= seconds <= target and gigabytes <= MAX_GIGABYTES
    return 0 if is_within else 1


if __name__ == "__main__":
    raise SystemExit(main())
