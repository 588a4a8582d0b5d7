"""Start the server, and the folder its metrics need."""

from __future__ import annotations

import os
import sys
import tempfile

from serving.settings import Settings


def server_environment() -> dict[str, str]:
    """Return the environment the server runs in."""
    environment = dict(os.environ)
    environment["BENTOML_DO_NOT_TRACK"] = "True"
    environment.setdefault("OMP_NUM_THREADS", "1")
    # Settings are read again in the worker; relative paths must mean the same there.
    environment["FFL_RISK_HOME"] = str(Settings.from_environment().home.absolute())
    environment.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="ffl-risk-metrics-"))
    return environment


def server_command(host: str, port: int) -> list[str]:
    """Return the command that serves."""
    target = "serving.service:FflRisk"
    return [
        sys.executable, "-m", "bentoml", "serve", target, "--host", host, "--port", str(port)
    ]  # fmt: skip


def exec_server(host: str, port: int) -> None:
    """Become the server: signals reach it directly."""
    command = server_command(host, port)
    os.execve(command[0], command, server_environment())  # noqa: S606 - the project's own command
