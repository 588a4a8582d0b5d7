"""Faults on purpose: processes killed at random moments, load, hostile files, another's machine.

Each part counts what went wrong; the target of all of them is 0. `FFL_RISK_BENCH_RELIABILITY` is
the share of the stated sizes (200 kills, 60 s at 200 requests/s, 1,000 files), 0.1 by default;
`FFL_RISK_BENCH_SEED` draws other moments and files, so that shares of a size add up.

``python -m tests.benchmarks.bench_reliability [PART...]`` runs some of: service, commands,
training, load, files.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import redirect_stdout
from datetime import date
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.service_wire import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.test_serving.server.processes.test_crash import Country

SHARE = float(os.environ.get("FFL_RISK_BENCH_RELIABILITY", "0.1"))
SEED = os.environ.get("FFL_RISK_BENCH_SEED", "1")
N_KILLS, N_FILES = max(2, round(200 * SHARE)), max(10, round(1_000 * SHARE))
RATE, SECONDS = 200, max(5.0, 60 * SHARE)
N_CONNECTIONS = 16
AS_OF = "2026-01-01"
TODAY = date(2026, 6, 1)


def service(country: Country) -> None:
    """Kill two workers while four clients write; count what was acknowledged and what was lost."""
    from tests.test_serving.server.processes.test_crash import Writers, kill

    rng = random.Random(f"service {SEED}")
    n_kills, n_writes, n_lost = N_KILLS // 2, 0, 0
    for n in range(n_kills):
        with country.serving() as process:
            writers = Writers(country, f"r{n}")
            time.sleep(rng.uniform(0.2, 3.0))
            kill(process, with_workers=rng.random() < 0.5)
            writers.stop()
            n_writes += writers.n()
            n_lost += lost(country, writers.acknowledged)
    report("kill -9 of the service under writes", n_kills)
    report("acknowledged writes and accesses", n_writes)
    report("of them lost", n_lost, target="0")


def lost(country: Country, acknowledged: dict[str, set[object]]) -> int:
    """Count the acknowledged writes that are not in the store, and broken chains."""
    import sqlalchemy as sa

    from serving.access.audit.writer import load_key, verify
    from serving.store.tables import DECISIONS, EVENTS, LISTS, OUTCOMES

    store = country.store()
    columns = {
        "events": EVENTS.c.key, "outcomes": OUTCOMES.c.inspection_id,
        "decisions": DECISIONS.c.decision_id, "lists": LISTS.c.list_id,
    }  # fmt: skip
    with store.read() as connection:
        n = sum(
            len(acknowledged[name] - set(connection.scalars(sa.select(column))))
            for name, column in columns.items()
        )
    n += not verify(store, load_key(country.home / "audit.key")).is_intact
    store.close()
    return n


def commands(country: Country) -> None:
    """Kill `ingest` and `score` at random moments; count homes neither as before nor as after."""
    rng = random.Random(f"commands {SEED}")
    for name, typed, state in (
        ("ingest", ["ingest", "more"], _warehouse_state),
        ("score", ["score", "--as-of", AS_OF], _table_state),
    ):
        n_torn, seconds = 0, 0.0
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "whole"
            _copy(country.home, whole)
            before = state(whole)
            start = time.monotonic()
            _run(whole, typed)
            seconds = time.monotonic() - start
            after = state(whole)
            for n in range(N_KILLS // 4):
                home = Path(folder) / f"k{n}"
                _copy(country.home, home)
                _run(home, typed, kill_after=rng.uniform(0.3, 1.05) * seconds)
                n_torn += state(home) not in (before, after)
                _run(home, typed)  # and it goes on from there
                n_torn += state(home) != after
                shutil.rmtree(home)
        report(f"kill -9 of {name}, a run of {seconds:.1f} s", N_KILLS // 4)
        report(f"homes torn by killing {name}", n_torn, target="0")


def _copy(home: Path, to: Path) -> None:
    """Copy a home, with one more file of tips to ingest."""
    shutil.copytree(home, to)
    tips = "tip_id,dealer,received_on,source,is_self_report\n" + "".join(
        f"MORE-{n},9-86-{2 * n + 1:05d},2026-03-01,public,false\n" for n in range(100)
    )
    (to / "more").mkdir()
    (to / "more" / "tips.csv").write_text(tips)


def _run(home: Path, typed: list[str], *, kill_after: float | None = None) -> None:
    command = [sys.executable, "-m", "ffl_risk", *typed]
    environment = os.environ | {"FFL_RISK_HOME": str(home)}
    process = subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _warehouse_state(home: Path) -> object:
    """What a reader sees of the warehouse: how many rows of each table, none of them torn."""
    from features.warehouse import Warehouse

    warehouse = Warehouse.open(home / "warehouse")
    names = ("licenses", "inspections", "traces", "tips")
    return {name: warehouse.read(name).num_rows if warehouse.has(name) else 0 for name in names}


def _table_state(home: Path) -> object:
    """The scored table in force, loaded whole: its scores."""
    from serving.scores.snapshot import Snapshot

    return Snapshot.load(home).basis["fingerprint"]


def load(country: Country) -> None:
    """Ask two workers at a steady rate for scores and lists; count what is not answered 200."""
    from tests.test_serving.published_country import dealer

    statuses: Counter[str] = Counter()
    times: list[float] = []
    n_all = int(RATE * SECONDS)
    turn, guard = iter(range(n_all)), threading.Lock()
    with country.serving():
        begun = time.monotonic() + 0.5

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", country.port, timeout=30)
            while True:
                with guard:
                    n = next(turn, None)
                if n is None:
                    connection.close()
                    return
                time.sleep(max(0.0, begun + n / RATE - time.monotonic()))
                is_list = n % 100 == 0
                path, body = "/v1/score", {"dealers": [dealer(n % 200)]}
                if is_list:
                    path, body = "/v1/rank", {"k": 20}
                start = time.perf_counter()
                try:
                    connection.request("POST", path, json.dumps(body), _headers(country))
                    answer = connection.getresponse()
                    answer.read()
                    status = str(answer.status)
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    status = type(error).__name__
                with guard:
                    statuses[status] += 1
                    times.append(time.perf_counter() - start)

        threads = [threading.Thread(target=ask) for _ in range(N_CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - begun
    times.sort()
    report(f"requests at {RATE}/s asked, two workers", n_all)
    report("requests answered a second", n_all / seconds)
    report("p50, ms", 1e3 * times[len(times) // 2])
    report("p99, ms", 1e3 * times[int(0.99 * len(times))])
    report("requests not answered 200", n_all - statuses["200"], target="0")


def _headers(country: Country) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {country.tokens['chief']}",
        "Ffl-Risk-Purpose": "licensing",
        "Content-Type": "application/json",
    }


def files(country: Country) -> None:
    """Ingest files bent out of shape; count those that end in anything but a stated refusal."""
    from features.errors import FflRiskError
    from features.ingest import ingest

    rng = random.Random(f"files {SEED}")
    models = [*sorted((country.home / "files").iterdir()), *_as_text(country.home)]
    outcomes: Counter[str] = Counter()
    for n in range(N_FILES):
        model = models[n % len(models)]
        with tempfile.TemporaryDirectory() as folder:
            file = (
                Path(folder)
                / f"{model.name.partition('.')[0]}{rng.choice((_suffix(model),) * 6 + _SUFFIXES)}"
            )
            file.write_bytes(bent(rng, model.read_bytes()))
            try:
                with redirect_stdout(StringIO()):
                    ingest([file], Path(folder) / "warehouse", today=TODAY)
                outcomes["taken"] += 1
            except FflRiskError:
                outcomes["refused"] += 1
            except Exception as error:  # noqa: BLE001 - this is what is counted
                outcomes["faults"] += 1
                print(f"{file.name}: {type(error).__name__}: {error}"[:300], file=sys.stderr)  # noqa: T201
    report("hostile files", N_FILES)
    report("of them refused in words", outcomes["refused"])
    report("of them ending in a fault", outcomes["faults"], target="0")


def _as_text(home: Path) -> list[Path]:
    """Write the country's files as CSV too, plain and packed."""
    from pyarrow import csv, parquet

    out = []
    (home / "text").mkdir(exist_ok=True)
    for file in sorted((home / "files").iterdir()):
        text = home / "text" / f"{file.stem}.csv"
        csv.write_csv(parquet.read_table(file), text)
        packed = text.with_suffix(".csv.gz")
        packed.write_bytes(gzip.compress(text.read_bytes()))
        out += [text, text, packed]
    return out


def _suffix(file: Path) -> str:
    return "".join(file.suffixes)


_SUFFIXES = (".csv", ".xlsx", ".zip", ".gz", ".parquet", ".txt", ".bz2", "")
_JUNK = (
    b"\x00" * 64, b"\xff\xfe\xfd", b'"', b"\n\n\r", b",,,,,,,", b"=cmd|A0", b"\xed\xa0\x80",
    b"9" * 5_000, b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"PAR1", b"NULL", b"1e999", b"0000-00-00",
)  # fmt: skip


def bent(rng: random.Random, content: bytes) -> bytes:
    """Return a file with one to four parts cut, doubled, overwritten or put in."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        how = rng.randrange(5)
        if how == 0:
            del data[at:]
        elif how == 1:
            data[at:at] = rng.choice(_JUNK)
        elif how == 2:
            data[at : at + 40] = rng.randbytes(rng.randrange(80))
        elif how == 3:
            data += data[at : at + 5_000]
        else:
            data[: min(at, 300)] = rng.choice(_JUNK)
    return bytes(data)


def training(_: Country) -> None:
    """Kill `train` and `promote`, and give them a disk that takes no more."""
    from tests.benchmarks import training_faults

    training_faults.training(N_KILLS // 4, N_KILLS // 10, SEED)


PARTS: dict[str, Callable[[Country], None]] = {
    "service": service, "commands": commands, "training": training, "load": load, "files": files,
}  # fmt: skip


def main() -> None:
    """Make a country and run the parts."""
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp())
    from tests.test_serving.server.processes.test_crash import Country

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        country = Country(home)
        for name in sys.argv[1:] or PARTS:
            PARTS[name](country)


if __name__ == "__main__":
    main()
