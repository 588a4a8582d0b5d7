"""The service with everything on against a bare application, at 79,000 dealers.

The bare peer is Starlette on uvicorn: it finds a dealer's signals and asks the same heads of the
same bundle, without identity, purpose, area, audit or limits. Requests go over one kept-open
connection each, in turns, so that both meet the same machine.

Prints one line of JSON a measure: the figure of the service and of the peer, their ratio, and the
target. ``python -m tests.benchmarks.bench_service bare HOME PORT`` is the peer.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

SERVICE_PORT, BARE_PORT = 3931, 3932
N_SINGLE, N_MANY, N_ROUNDS = 1_500, 15, 3
LOAD_RATE, LOAD_SECONDS = 200, float(os.environ.get("FFL_RISK_BENCH_LOAD_SECONDS", "60"))


def bare(home: Path, port: int) -> None:
    """Serve the peer."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from serving.explaining import frame_of
    from serving.scoring import Snapshot

    snapshot = Snapshot.load(home)

    async def score(request: Request) -> JSONResponse:
        dealers = json.loads(await request.body())["dealers"]
        rows = [snapshot.row_of[dealer] for dealer in dealers]
        scores = snapshot.bundle.score(frame_of(snapshot, snapshot.inputs[rows]))
        columns = {name: scores[name].tolist() for name in (*snapshot.heads, "priority")}
        return JSONResponse({"dealers": dealers, **columns})

    app = Starlette(routes=[Route("/v1/score", score, methods=["POST"])])
    uvicorn.run(app, port=port, log_level="warning", access_log=False)


class Connection:
    """One kept-open connection that sends one request again and again."""

    def __init__(self, port: int, path: str, body: object, token: str = "") -> None:
        content = json.dumps(body).encode()
        identity = f"Authorization: Bearer {token}\r\nFfl-Risk-Purpose: licensing\r\n"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n{identity if token else ''}\r\n"
        )
        self._request = head.encode() + content
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> float:
        """Send the request and return the milliseconds until the whole answer was here."""
        start = time.perf_counter()
        self._socket.sendall(self._request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(1 << 16)
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"refused: {head!r} {rest[:300]!r}")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self._socket.recv(1 << 20)
        return 1e3 * (time.perf_counter() - start)


def report(measure: str, value: float, peer: float | None, target: str) -> None:
    """Print one line."""
    line: dict[str, object] = {"measure": measure, "value": round(value, 3), "target": target}
    if peer is not None:
        line |= {"peer": round(peer, 3), "ratio": round(value / peer, 2)}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


@contextmanager
def running(command: list[str], port: int, path: str, home: Path) -> Iterator[tuple[float, int]]:
    """Start a server; give the seconds until it answered and its process id."""
    environment = {
        **os.environ,
        "FFL_RISK_HOME": str(home),
        "FFL_RISK_RATE": "1e9",
        "FFL_RISK_BURST": "1e9",
        "OMP_NUM_THREADS": "1",
    }
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not is_answering(port, path):
            if process.poll() is not None or time.perf_counter() - start > 180:
                raise SystemExit(f"did not start: {command}")
            time.sleep(0.1)
        yield time.perf_counter() - start, process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def is_answering(port: int, path: str) -> bool:
    """Return whether the server answers at all (the service: ready)."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except URLError as error:
        return getattr(error, "code", None) == 404
    except OSError:
        return False


def compare(measure: str, ours: Connection, peer: Connection, n: int, targets: list[str]) -> None:
    """Time both in turns and print median and 99th percentile."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(N_ROUNDS):
        for name, connection in (("ours", ours), ("peer", peer)):
            for _ in range(max(2, n // 10)):
                connection.ask()
            times[name] += [connection.ask() for _ in range(n)]
    for percentile, target in zip((50, 99), targets, strict=True):
        one, other = (float(np.percentile(times[k], percentile)) for k in ("ours", "peer"))
        report(f"{measure}, p{percentile} ms", one, other, target)


def sustained(token: str, dealers: list[str]) -> None:
    """Ask 200 times a second for a minute and count what is not answered."""
    times: list[float] = []

    def ask(n: int) -> None:
        connection = Connection(SERVICE_PORT, "/v1/score", {"dealers": [dealers[n]]}, token)
        start = time.perf_counter()
        for i in range(int(LOAD_RATE / 8 * LOAD_SECONDS)):
            time.sleep(max(0.0, start + i * 8 / LOAD_RATE - time.perf_counter()))
            times.append(connection.ask())

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n_wanted = 8 * int(LOAD_RATE / 8 * LOAD_SECONDS)
    rate = len(times) / (time.perf_counter() - start)
    report(f"requests answered of {n_wanted}", len(times), None, f"{n_wanted}")
    report("sustained requests a second", rate, None, f">= {0.98 * LOAD_RATE:g}")
    report("sustained, p99 ms", float(np.percentile(times, 99)), None, "")


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and all below it."""
    import psutil

    top = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [top, *top.children(recursive=True)]) / 2**20


def main() -> None:
    """Publish a country, start both servers, and compare."""
    from serving.identity import Directory
    from serving.launch import server_command
    from serving.store import Store
    from tests.benchmarks.country import publish_country

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        dealers = publish_country(home)
        store = Store.open(f"sqlite:///{home / 'service.db'}")
        accounts = Directory(store)
        accounts.add_account("bench", "supervisor", areas=["nation"])
        token = accounts.issue_token("bench")
        store.close()
        peer = [sys.executable, "-m", "tests.benchmarks.bench_service", "bare", str(home)]
        service = server_command("127.0.0.1", SERVICE_PORT)
        with (
            running(service, SERVICE_PORT, "/readyz", home) as (seconds, pid),
            running([*peer, str(BARE_PORT)], BARE_PORT, "/", home),
        ):
            report("start to ready, s", seconds, None, "<= 10")
            measure(token, dealers)
            report("resident memory, MB", resident_mb(pid), None, "<= 1500")


def measure(token: str, dealers: list[str]) -> None:
    """Run the measures against both servers."""

    def ours(path: str, body: object) -> Connection:
        return Connection(SERVICE_PORT, path, body, token)

    one, many = {"dealers": dealers[:1]}, {"dealers": dealers[:1000]}
    bare_one = Connection(BARE_PORT, "/v1/score", one)
    bare_many = Connection(BARE_PORT, "/v1/score", many)
    compare("score of one", ours("/v1/score", one), bare_one, N_SINGLE, ["<= 2x", "<= 3x"])
    compare("score of 1,000", ours("/v1/score", many), bare_many, N_MANY, ["", ""])
    told = ours("/v1/score", {**many, "with_reasons": True})
    compare("score of 1,000 with reasons", told, bare_many, N_MANY, ["<= 100 ms", ""])
    ranked = ours("/v1/rank", {"k": 500})
    report("rank of 500, p50 ms", float(np.median([ranked.ask() for _ in range(10)])), None, "")
    explained = ours("/v1/explain", {"dealer": dealers[0]})
    times = [explained.ask() for _ in range(10)]
    report("explain one, p50 ms", float(np.median(times)), None, "")
    sustained(token, dealers)


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        bare(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
