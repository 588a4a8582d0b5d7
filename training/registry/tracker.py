"""A handle on the tracking process, so that nothing else waits for MLflow.

Importing the tracker takes seconds and its first database more. `Tracker` starts
``python -P -m training.registry.mlflow_api`` at once and talks to it in JSON lines: it warms up
on another core while signals are built and models fitted. ``-P`` keeps the current folder off its
path: a package of somebody else's that lies there and is called ``training`` is not ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

from features.home import home, keep_private
from training.errors import TrainingError

SECONDS_TO_END = 120
SECONDS_TO_ANSWER = 5
TOLD_LINES = 12


class TrackingError(TrainingError):
    """The tracking process failed or answered with an error."""


def require_reachable(uri: str) -> None:
    """Refuse a tracking server that does not answer, before anything long is begun.

    MLflow itself would try for minutes. Any answer will do: one that asks for an account is one. A
    file or a database is no server and is not asked.

    Raises
    ------
    TrackingError
        Within `SECONDS_TO_ANSWER`.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    import httpx

    try:
        httpx.get(uri.rstrip("/") + "/health", timeout=SECONDS_TO_ANSWER)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TrackingError(
            f"The tracking server at {parts.hostname}:{port} does not answer.",
            found=str(error) or type(error).__name__,
            fix="start it, correct MLFLOW_TRACKING_URI, or unset it to keep runs in the state "
            "folder",
        ) from error


class Tracker:
    """Runs and the model registry, kept by another process.

    Parameters
    ----------
    folder : Path, optional
        State folder; ``home()`` by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or home()).absolute()
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] | None = None

    def start(self) -> Tracker:
        """Start the process; answers are waited for only when something is asked."""
        if self._process is None:
            require_reachable(os.environ.get("MLFLOW_TRACKING_URI", ""))
            keep_private(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            # A file and no pipe: nobody reads along, and a full pipe would stop the process.
            self._complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
            self._process = subprocess.Popen(  # noqa: S603 - our own module, fixed arguments
                [sys.executable, "-P", "-m", "training.registry.mlflow_api", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                text=True,
            )
        return self

    def __enter__(self) -> Tracker:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, action: str, **arguments: Any) -> Any:
        """Have the process do `action` and return its answer.

        Raises
        ------
        TrackingError
            When it refuses or has died.
        """
        process = self.start()._process
        if process is None or process.stdin is None or process.stdout is None:
            raise TrackingError("The tracking process has no pipes.")
        try:
            process.stdin.write(json.dumps({"action": action, **arguments}) + "\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error
        line = process.stdout.readline()
        if not line:
            raise self._died()
        answer = json.loads(line)
        if "error" in answer:
            raise TrackingError(
                f"Tracking could not {action.replace('_', ' ')}.", found=answer["error"]
            )
        return answer["result"]

    def _died(self) -> TrackingError:
        code = self._process.wait() if self._process else None
        said = self._said()
        self._end()
        return TrackingError(
            f"The tracking process ended early, with exit code {code}.",
            found=said or "nothing on its standard error",
            fix=f"mend what it says; where it says nothing, check that {self.folder} can be "
            "written and MLFLOW_TRACKING_URI is right",
        )

    def _said(self) -> str:
        """Return the last lines of the process's standard error."""
        if self._complaints is None:
            return ""
        self._complaints.seek(0)
        lines = [line.rstrip() for line in self._complaints if line.strip()]
        return "\n".join(lines[-TOLD_LINES:])

    def _end(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # a question it never read
                        pipe.close()
        if self._complaints is not None:
            self._complaints.close()
        self._process = self._complaints = None

    def close(self) -> None:
        """End the process; it finishes what it was asked.

        Raises
        ------
        TrackingError
            When it does not end; it is stopped then.
        """
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.wait()
            raise TrackingError(
                f"The tracking process did not end within {SECONDS_TO_END} seconds.",
                found=self._said() or "nothing on its standard error",
                fix="see whether the server or database of MLFLOW_TRACKING_URI answers",
            ) from error
        finally:
            self._end()
