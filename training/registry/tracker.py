"""A handle on the tracking process, so that nothing else waits for MLflow.

Importing the tracker takes seconds and its first database more. `Tracker` starts
``python -m training.registry.tracking`` at once and talks to it in JSON lines: it warms up on
another core while signals are built and models fitted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from features.home import home
from training.errors import TrainingError


class TrackingError(TrainingError):
    """The tracking process failed or answered with an error."""


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

    def start(self) -> Tracker:
        """Start the process; answers are waited for only when something is asked."""
        if self._process is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._process = subprocess.Popen(  # noqa: S603 - our own module, fixed arguments
                [sys.executable, "-m", "training.registry.tracking", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
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
        self._process = None
        return TrackingError(
            "The tracking process ended early.",
            found=f"exit code {code}",
            fix=f"check that {self.folder} can be written and MLFLOW_TRACKING_URI is right",
        )

    def close(self) -> None:
        """End the process; it finishes what it was asked."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=120)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
