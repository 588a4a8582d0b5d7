"""What the store costs an answer: SQLite, SQLite that waits for the disk, PostgreSQL, and none.

The same service, identity, purpose, area and audit on, runs at once on each store, beside a bare
Starlette application that looks the same scores up and does nothing else; all are asked in turns,
so that they meet the same machine. The chain of the audit is verified at the end.
`FFL_RISK_BENCH_HOME` names a home with a published table, which is left as it was; without it the
country of the service's benchmark is made. PostgreSQL is the newest under /usr/lib/postgresql.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.service_wire import Connection, report, running, timed

PORTS = {"SQLite NORMAL": 3941, "SQLite FULL": 3942, "PostgreSQL fsync": 3943, "bare": 3944}
N_CLIENTS, N_EACH, N_ALONE = 16, 60, 30


def disk(folder: Path) -> None:
    """Time the disk itself: 4 KB written and waited for, which bounds a commit that waits."""
    times = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(100):
            start = time.perf_counter()
            file.write(b"x" * 4_096)
            os.fdatasync(file.fileno())
            times.append(1e3 * (time.perf_counter() - start))
    report("the disk alone: 4 KB written and waited for, p50 ms", float(np.median(times)))


def account(url: str) -> str:
    """Return a token of an analyst in the store."""
    from serving.access.accounts import Directory
    from serving.store.database import Store

    store = Store.open(url)
    directory = Directory(store)
    directory.add_account("bench", "analyst", areas=[])
    token = directory.issue_token("bench")
    store.close()
    return token


def verify(url: str, home: Path) -> bool:
    """Return whether the chain is whole after the load."""
    from serving.access.audit.writer import load_key, verify
    from serving.store.database import Store

    store = Store.open(url)
    try:
        return verify(store, load_key(home / "audit.key")).is_intact
    finally:
        store.close()


def at_once(port: int, body: object, token: str) -> tuple[np.ndarray, float]:
    """Ask from many clients at once; return the milliseconds of each, and answers a second."""

    def ask(_: int) -> list[float]:
        connection = Connection(port, "/v1/score" if token else "/look_up", body, token)
        return [connection.ask() for _ in range(N_EACH)]

    start = time.perf_counter()
    with ThreadPoolExecutor(N_CLIENTS) as pool:
        times = np.array([one for taken in pool.map(ask, range(N_CLIENTS)) for one in taken])
    return times, len(times) / (time.perf_counter() - start)


def copies(whole: Path, folder: Path) -> dict[str, Path]:
    """Give each store a home of its own, without the accounts and records of the first."""
    homes = {}
    for name in PORTS:
        homes[name] = folder / name.replace(" ", "-")
        left_out = shutil.ignore_patterns("service.db*", "world", "files", "mlartifacts", "reports")
        shutil.copytree(whole, homes[name], ignore=left_out)
    return homes


def main() -> None:
    """Start everything, and ask in turns."""
    from serving.commands.launch import server_command
    from tests.benchmarks.inputs.country import publish_country
    from tests.test_serving.keeping.store.test_postgresql import Server

    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        whole = Path(os.environ.get("FFL_RISK_BENCH_HOME", folder / "whole"))
        if not (whole / "scored.json").exists():
            publish_country(whole)
        homes = copies(whole, folder)
        database = Path(tempfile.mkdtemp())
        stack.callback(shutil.rmtree, database, ignore_errors=True)
        server = Server(database, fsync="on")
        stack.callback(server.stop)
        urls = {
            "SQLite NORMAL": f"sqlite:///{homes['SQLite NORMAL'] / 'service.db'}",
            "SQLite FULL": f"sqlite:///{homes['SQLite FULL'] / 'service.db'}?synchronous=FULL",
            "PostgreSQL fsync": server.url("postgres"),
        }
        disk(folder)
        tokens = {name: account(url) for name, url in urls.items()}
        name = json.loads((whole / "scored.json").read_text())["scored"]
        dealer = pd.read_parquet(whole / "scored" / name / "scored.parquet")["dealer"][0]
        body = {"dealers": [str(dealer)]}
        for store, url in urls.items():
            os.environ["FFL_RISK_STORE_URL"] = url
            command = server_command("127.0.0.1", PORTS[store])
            seconds, _ = stack.enter_context(
                running(command, PORTS[store], "/readyz", homes[store])
            )
            report(f"{store}: start to ready, s", seconds)
        bare = [sys.executable, "-m", "tests.benchmarks.peers.service_peers", str(whole)]
        stack.enter_context(running([*bare, str(PORTS["bare"])], PORTS["bare"], "/", whole))
        compare(body, tokens)
        for store, url in urls.items():
            report(f"{store}: chain whole", float(verify(url, homes[store])), target="1")


def compare(body: object, tokens: dict[str, str]) -> None:
    """Ask each alone, then each from many clients, and print medians and 99th percentiles."""
    paths = {name: "/v1/score" if name in tokens else "/look_up" for name in PORTS}
    alone = timed(
        {n: Connection(PORTS[n], paths[n], body, tokens.get(n, "")) for n in PORTS}, N_ALONE
    )
    crowd = {name: at_once(PORTS[name], body, tokens.get(name, "")) for name in PORTS}
    for store in tokens:
        for clients, taken, peer in (
            ("one client", alone[store], alone["bare"]),
            (f"{N_CLIENTS} clients", crowd[store][0], crowd["bare"][0]),
        ):
            for percentile, target in ((50, "<= 2x"), (99, "<= 3x")):
                values = [float(np.percentile(times, percentile)) for times in (taken, peer)]
                report(f"{store}, {clients}: score of one, p{percentile} ms", *values, target)
        report(f"{store}, {N_CLIENTS} clients: answers a second", crowd[store][1], crowd["bare"][1])


if __name__ == "__main__":
    main()
