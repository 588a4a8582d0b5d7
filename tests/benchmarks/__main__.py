"""Run every benchmark, one process after another, and print one table: `make bench [ONLY=name]`.

Each ``bench_*.py`` prints one JSON object a line: measure, value, peer, ratio, target. Values
are medians of one run on one machine; only the ratios are meant to travel.
"""

import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent


def rows_of(script: Path) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{script.stem}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main(only: list[str]) -> None:
    console = Console()
    columns = ("measure", "value", "peer", "ratio", "target")
    for script in sorted(HERE.glob("bench_*.py")):
        if only and script.stem.removeprefix("bench_") not in only:
            continue
        table = Table(*columns, title=script.stem)
        for row in rows_of(script):
            cells = (row.get(name, "") for name in columns)
            table.add_row(*(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells))
        console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
