"""What the benchmark of the service speaks: one kept-open connection, timed from end to end.

Plain sockets: a client library would take longer than the answer it waits for.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

N_ROUNDS = 10
_START_SECONDS = 180


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
        self._port = port
        self.open()

    def open(self) -> None:
        """Connect, perhaps anew: a server closes what was idle while another had its turn."""
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self) -> bytes:
        """Send the request and return the body of the answer.

        Raises
        ------
        RuntimeError
            When it is refused.
        """
        self._socket.sendall(self._request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        parts, size = [rest], len(rest)
        while size < length:
            parts.append(self._more())
            size += len(parts[-1])
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"refused: {head[:60]!r} {b''.join(parts)[:300]!r}")
        return b"".join(parts)

    def ask(self) -> float:
        """Send the request and return the milliseconds until the whole answer was here."""
        start = time.perf_counter()
        self.answer()
        return 1e3 * (time.perf_counter() - start)

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 20)
        if not data:
            raise RuntimeError("the connection was closed")
        return data


def report(measure: str, value: float, peer: float | None = None, target: str = "") -> None:
    """Print one line."""
    line: dict[str, object] = {"measure": measure, "value": round(value, 3), "target": target}
    if peer is not None:
        line |= {"peer": round(peer, 3), "ratio": round(value / peer, 3)}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


@contextmanager
def running(
    command: Sequence[str], port: int, path: str, home: Path
) -> Iterator[tuple[float, int]]:
    """Start a server; give the seconds until it answered and its process id."""
    environment = {
        **os.environ,
        "FFL_RISK_HOME": str(home),
        "FFL_RISK_RATE": "1e9",
        "FFL_RISK_BURST": "1e9",
        "OMP_NUM_THREADS": "1",
        # MLflow starts uvicorn by its name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not is_answering(port, path):
            if process.poll() is not None or time.perf_counter() - start > _START_SECONDS:
                raise SystemExit(f"did not start: {command}")
            time.sleep(0.05)
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


def timed(connections: dict[str, Connection], n: int) -> dict[str, np.ndarray]:
    """Time connections in turns, so that all meet the same machine; return milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in connections}
    for _ in range(N_ROUNDS):
        for name, connection in connections.items():
            connection.open()
            for _ in range(max(2, n // 10)):
                connection.ask()
            times[name] += [connection.ask() for _ in range(n)]
    return {name: np.array(taken) for name, taken in times.items()}


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and all below it."""
    import psutil

    top = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [top, *top.children(recursive=True)]) / 2**20
