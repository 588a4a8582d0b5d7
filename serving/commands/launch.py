"""Start the server, and the folder its metrics need."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from serving.settings import Settings

# The folder that holds the packages: the checkout, or where the wheel was installed.
CODE = Path(__file__).resolve().parents[2]
SQLITE = "sqlite:///"


def server_environment() -> dict[str, str]:
    """Return the environment the server runs in."""
    environment = dict(os.environ)
    environment["BENTOML_DO_NOT_TRACK"] = "True"
    environment.setdefault("OMP_NUM_THREADS", "1")
    # Settings are read again in the worker, which runs in another folder: paths must mean the same.
    environment["FFL_RISK_HOME"] = str(Settings.from_environment().home.absolute())
    for name, value in os.environ.items():
        if name.startswith("FFL_RISK_") and name.endswith("_FILE") and value:
            environment[name] = str(Path(value).absolute())
    store = os.environ.get("FFL_RISK_STORE_URL", "")
    if store.startswith(SQLITE) and (file := store.removeprefix(SQLITE)) not in {"", ":memory:"}:
        environment["FFL_RISK_STORE_URL"] = f"{SQLITE}{Path(file).absolute()}"
    environment.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="ffl-risk-metrics-"))
    return environment


def server_command(host: str, port: int) -> list[str]:
    """Return the command that serves; what lies in the current folder has no part in it.

    BentoML imports from its working directory first, by default the current one, where another's
    package may be called ``models``.
    """
    return [
        sys.executable, "-P", "-m", "bentoml", "serve", "serving.service:FflRisk",
        "--working-dir", str(CODE), "--host", host, "--port", str(port),
    ]  # fmt: skip


def exec_server(host: str, port: int) -> None:
    """Become the server: signals reach it directly."""
    command = server_command(host, port)
    os.execve(command[0], command, server_environment())  # noqa: S606 - the project's own command
