"""Processor time of the service's own work at 79,000 dealers: a row, a list, an event.

Processor seconds tell more than the clock on a machine that does other work. The published country
is that of `bench_service` (`FFL_RISK_BENCH_HOME` names a folder in which it is kept); what is
measured happens in a copy of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from serving.access.accounts import Principal
from serving.access.audit.writer import Access, Ledger
from serving.api.routes.scores import score_content
from serving.contract.answers import RankRequest, ScoreRequest
from serving.dealers.explaining import row_values, score_rows
from serving.field.events.events import keep
from serving.field.events.rescoring_loop import Rescorer
from serving.lists.issued import issue
from serving.runtime import Runtime
from serving.settings import Settings
from tests.benchmarks.bench_service import signal_rows, traces
from tests.benchmarks.service_wire import report

N_EVENTS = 6
WHO = Principal("supervisor", "supervisor", frozenset({"nation"}))


def milliseconds(work: Callable[[int], object], n: int) -> float:
    """Return the processor time of one of `n` turns."""
    before = time.process_time()
    for i in range(n):
        work(i)
    return 1e3 * (time.process_time() - before) / n


def say(what: str, work: Callable[[int], object], n: int) -> None:
    """Print the processor time of one of `n` turns."""
    report(f"{what}, ms", milliseconds(work, n))


def measure(home: Path) -> None:
    """Measure in `home`, which is changed by it."""
    os.environ["FFL_RISK_HOME"] = str(home)
    runtime = Runtime.open(Settings.from_environment())
    runtime.load()
    rows, snapshot = signal_rows(home, 50), runtime.snapshot
    score_rows(snapshot, rows[:1])
    say("score_features of one row", lambda i: score_rows(snapshot, [rows[i % 50]]), 200)
    one = row_values(snapshot, rows[:1])
    say("one row in the model", lambda _: snapshot.bundle.score_numbers(one), 200)
    caller = SimpleNamespace(scope=runtime.scope(WHO))
    names = [str(name) for name in snapshot.columns["dealer"]]

    def scores(first: int) -> None:
        asked = ScoreRequest(dealers=names[first : first + 1_000], with_reasons=True)
        score_content(caller, asked)  # type: ignore[arg-type]

    say("1,000 scores with reasons, first time", lambda i: scores(1_000 * i), 10)
    say("1,000 scores with reasons, again", lambda _: scores(9_000), 10)

    def rank(_: int) -> None:
        issue(runtime, WHO, RankRequest(k=500))

    say("rank of 500, the first", rank, 1)
    say("rank of 500, later", rank, 20)
    events(runtime, home, names)
    runtime.close()


def events(runtime: Runtime, home: Path, names: list[str]) -> None:
    """Keep traces of one dealer at a time, and take each to its score; then start again."""
    access = Access("feed", "scheduler", "", "", "", "", "", "")

    def taken(rescorer: Rescorer, n: int) -> float:
        ledger = Ledger(runtime.audit_key, access)
        keep(runtime.store, "traces", traces(names[-1 - 7 * n], n), ledger=ledger)
        return milliseconds(lambda _: rescorer._once(), 1) / 1e3

    rescorer = Rescorer(runtime, home)
    say("built and scored ahead, nobody waiting", lambda _: rescorer._warm(), 1)
    report("first event of a day, s", taken(rescorer, 0), target="<= 2")
    say("built ahead for the next event", lambda _: rescorer._warm(), 1)
    later = sorted(taken(rescorer, n) for n in range(1, N_EVENTS))
    report("every later event, s", later[len(later) // 2], target="<= 0.3")
    rescorer.close()
    again = Rescorer(runtime, home)
    report("first event after a start, s", taken(again, N_EVENTS), target="<= 2")
    again.close()


def main() -> None:
    """Make the country where it is not kept, and measure in a copy."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(os.environ.get("FFL_RISK_BENCH_HOME", str(Path(folder) / "kept")))
        part = [sys.executable, "-m", "tests.benchmarks.bench_service", "country", str(kept)]
        subprocess.run(part, check=True)
        copy = Path(folder) / "copy"
        shutil.copytree(kept, copy)
        measure(copy)


if __name__ == "__main__":
    main()
