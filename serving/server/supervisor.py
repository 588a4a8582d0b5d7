"""Start the workers, keep them alive, and stop them in order.

BentoML's own command puts a supervisor in front that listens on a TCP port for commands from
anyone on the machine, one of which adds a command to run. Here uvicorn's supervisor does the work:
it talks to its workers over pipes of their own, and the one socket that is opened is the service's.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import gc
import ipaddress
import logging
import multiprocessing
import multiprocessing.process
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from features.errors import FflRiskError
from serving.errors import InvalidRequestError
from serving.server.logs import configure_logs
from serving.server.protocol import BoundedProtocol
from serving.settings import Settings
from serving.store.database import Store

logger = logging.getLogger("ffl_risk.service")
_TARGET: Final = "serving.service:application"
_BACKLOG: Final = 2_048
_KEEP_ALIVE_SECONDS: Final = 75
_METRICS: Final = "ffl-risk-metrics-"
_LOCK: Final = ".in-use"
# A worker that answers no question of its supervisor for this long hangs and is replaced.
_HANGS_SECONDS: Final = 60


class Supervisor(Multiprocess):
    """uvicorn's supervisor, which remembers that no worker could start."""

    has_failed = False

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have died; give up when one cannot start at all."""
        was_told = self.should_exit.is_set()
        super().keep_subprocess_alive()
        self.has_failed = self.should_exit.is_set() and not was_told


class WorkerConfig(uvicorn.Config):
    """How a worker serves, loaded in the worker."""

    def load(self) -> None:
        """Import what serves, the collector off until all is there (`serving.service`)."""
        gc.disable()
        super().load()


def config_of(settings: Settings, host: str, port: int) -> uvicorn.Config:
    """Return how each worker serves."""
    options: dict[str, Any] = {"http": BoundedProtocol, "ws": "none", "loop": "uvloop"}
    return WorkerConfig(
        _TARGET,
        factory=True,
        host=host,
        port=port,
        workers=settings.workers,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=_proxies(settings.proxies),
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.timeout_seconds) + 5,
        timeout_worker_healthcheck=_HANGS_SECONDS,
        **options,
    )


def _proxies(text: str) -> list[str]:
    """Return the addresses and networks of the proxies that stand in front.

    They alone are believed about who asks: everybody else could give any address as his own. When
    none is named, all who come through a proxy count as one, and share its bound of sign-ins.
    """
    named = [one.strip() for one in text.split(",") if one.strip()]
    try:
        return [str(ipaddress.ip_network(one)) for one in named]
    except ValueError as error:
        raise InvalidRequestError(
            "FFL_RISK_PROXIES names what is no address and no network.",
            found=str(error)[:120],
            expected="addresses or networks, comma-separated, such as 10.0.0.7,192.168.1.0/24",
        ) from None


def serve(host: str, port: int) -> int:
    """Serve until told to stop; return the exit code."""
    settings = Settings.from_environment()
    configure_logs(settings.log_format)
    _check(settings)
    with _metrics_folder() as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        config = config_of(settings, host, port)
        socket = config.bind_socket()
        supervisor = Supervisor(config, sockets=[socket])
        supervisor.run()
        return 1 if supervisor.has_failed else 0


def _check(settings: Settings) -> None:
    """Find in one process, before there are several, what would end each worker."""
    from serving.access.audit.witness import Witness
    from serving.access.audit.writer import chain_key
    from serving.access.clock_check import check_clock

    if settings.oidc is not None:
        from serving.access.oidc import Verifier

        Verifier(settings.oidc)
    if settings.webhook_origins:
        from serving.changes.webhook_addresses import origins

        origins(settings.webhook_origins)
    Witness(settings.audit_heads).close()
    store = Store.open(settings.store_url)
    try:
        chain_key(store, settings.audit_key_file)
        check_clock(store, settings.clock_tolerance)
    finally:
        store.close()


def end_with_supervisor() -> None:
    """Stop this worker in order when the process that supervises it is gone, or is already.

    Left alone it would go on answering, unsupervised, and keep the port from the next server. One
    that was killed while this worker was still starting can send it nothing any more.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), name="supervised", daemon=True).start()
    elif sys.platform == "linux":  # started by BentoML's own supervisor
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _metrics_folder() -> Iterator[Path]:
    """Give a folder for this service alone, and take away what killed services left.

    A folder whose service lives is locked by it; the lock of one that was killed is gone.
    """
    asked = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if asked:
        Path(asked).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_METRICS, dir=asked or None))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in folder.parent.glob(f"{_METRICS}*/{_LOCK}"):
                _remove_unlocked(left)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unlocked(lock: Path) -> None:
    """Remove the folder of a lock that nobody holds and that is ours to open."""
    with suppress(OSError), lock.open("r+") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent, ignore_errors=True)


def main() -> None:
    """Read the address and serve."""
    parser = argparse.ArgumentParser(prog="ffl-risk serve")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    asked = parser.parse_args()
    try:
        sys.exit(serve(asked.host, asked.port))
    except FflRiskError as error:
        print(f"ffl-risk: {error}", file=sys.stderr)  # noqa: T201 - it is a command
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
