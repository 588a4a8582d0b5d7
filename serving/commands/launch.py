"""Start the server as a program of its own."""

from __future__ import annotations

import os
import socket
import sys

from serving.errors import NotReadyError
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


def require_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before anything long is begun.

    Raises
    ------
    NotReadyError
    """
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as error:
        raise NotReadyError(
            f"The service cannot listen on {host}, port {port}.",
            found=error.strerror or str(error),
            fix="stop what listens there, or name another port with --port",
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def exec_server(host: str, port: int) -> None:
    """Become the server: signals reach it directly."""
    require_free(host, port)
    command = server_command(host, port)
    os.execve(command[0], command, server_environment())  # noqa: S606 - the project's own command
