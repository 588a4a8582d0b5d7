"""Start the server as a program of its own."""

from __future__ import annotations

import os
import sys

from serving.settings import Settings


def server_environment() -> dict[str, str]:
    """Return the environment the server runs in."""
    environment = dict(os.environ)
    environment["BENTOML_DO_NOT_TRACK"] = "True"
    environment.setdefault("OMP_NUM_THREADS", "1")
    # Settings are read again in the worker; relative paths must mean the same there.
    environment["FFL_RISK_HOME"] = str(Settings.from_environment().home.absolute())
    return environment


def server_command(host: str, port: int) -> list[str]:
    """Return the command that serves."""
    # -P: nothing is imported from whatever folder the command is typed in.
    module = "serving.server.supervisor"
    return [sys.executable, "-P", "-m", module, "--host", host, "--port", str(port)]


def exec_server(host: str, port: int) -> None:
    """Become the server: signals reach it directly."""
    command = server_command(host, port)
    os.execve(command[0], command, server_environment())  # noqa: S606 - the project's own command
