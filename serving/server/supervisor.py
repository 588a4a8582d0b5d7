"""Start the workers, keep them alive, and stop them in order.

BentoML's own command puts a supervisor in front that listens on a TCP port for commands from
anyone on the machine, one of which adds a command to run. Here uvicorn's supervisor does the work:
it talks to its workers over pipes of their own, and the one socket that is opened is the service's.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from features.errors import FflRiskError
from serving.server.logs import configure_logs
from serving.server.protocol import BoundedProtocol
from serving.settings import Settings
from serving.store.database import Store

logger = logging.getLogger("ffl_risk.service")
_TARGET: Final = "serving.service:application"
_BACKLOG: Final = 2_048
_KEEP_ALIVE_SECONDS: Final = 75
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


def config_of(settings: Settings, host: str, port: int) -> uvicorn.Config:
    """Return how each worker serves."""
    options: dict[str, Any] = {"http": BoundedProtocol, "ws": "none", "loop": "uvloop"}
    return uvicorn.Config(
        _TARGET,
        factory=True,
        host=host,
        port=port,
        workers=settings.workers,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.timeout_seconds) + 5,
        timeout_worker_healthcheck=_HANGS_SECONDS,
        **options,
    )


def serve(host: str, port: int) -> int:
    """Serve until told to stop; return the exit code."""
    settings = Settings.from_environment()
    configure_logs(settings.log_format)
    _check(settings)
    metrics = _metrics_folder()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    try:
        config = config_of(settings, host, port)
        socket = config.bind_socket()
        supervisor = Supervisor(config, sockets=[socket])
        supervisor.run()
        return 1 if supervisor.has_failed else 0
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def _check(settings: Settings) -> None:
    """Find in one process, before there are several, what would end each worker."""
    from serving.access.audit import chain_key
    from serving.access.clock import check_clock
    from serving.access.oidc import Verifier

    if settings.oidc is not None:
        Verifier(settings.oidc)
    store = Store.open(settings.store_url)
    try:
        chain_key(store, settings.audit_key_file)
        check_clock(store, settings.clock_tolerance)
    finally:
        store.close()


def _metrics_folder() -> Path:
    """Return a folder for this service alone: another one's counts are not ours."""
    asked = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if asked:
        Path(asked).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="ffl-risk-metrics-", dir=asked or None))


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
