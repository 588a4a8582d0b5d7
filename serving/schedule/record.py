"""What a run has done so far, on disk: a run that was killed goes on where it stood."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from features.home import write_json
from serving.errors import ServingError

Outcome = Literal["done", "refused", "failed", "not due"]
ROUTINES: Final = ("nightly", "monthly")
# What was done longer ago than this is done again when a run goes on.
FRESH: Final = timedelta(hours=20)
_HAS_ENDED: Final = ("done", "refused", "not due")


class BusyRunError(ServingError):
    """Another run is under way."""

    exit_code = 4


@dataclass(frozen=True)
class StepRecord:
    """How one step ended.

    Parameters
    ----------
    outcome : {"done", "refused", "failed", "not due"}
    seconds : float
    exit_code : int
    ended_at : str
        UTC, ISO 8601.
    told : str
        Why it was not due, or the last line it said when it failed.
    """

    name: str
    outcome: Outcome
    seconds: float
    exit_code: int
    ended_at: str
    told: str = ""

    def is_fresh(self, now: datetime) -> bool:
        """Whether a run that goes on may build on it."""
        return self.outcome in _HAS_ENDED and now - datetime.fromisoformat(self.ended_at) < FRESH


@dataclass
class RunRecord:
    """A run of one day or month."""

    routine: str
    period: str
    began_at: str
    ended_at: str = ""
    exit_code: int | None = None
    steps: list[StepRecord] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether it came to its end, whatever a gate said; a step that failed is no end."""
        return bool(self.ended_at) and all(s.outcome in _HAS_ENDED for s in self.steps)

    def step(self, name: str) -> StepRecord | None:
        """Return what is kept of a step."""
        return next((step for step in self.steps if step.name == name), None)

    def keep(self, step: StepRecord, path: Path) -> None:
        """Add a step and write the record."""
        self.steps = [s for s in self.steps if s.name != step.name] + [step]
        self.write(path)

    def write(self, path: Path) -> None:
        """Write the record, atomically."""
        write_json(path, asdict(self))


def record_file(home: Path, routine: str) -> Path:
    """Return where the newest run of a routine is kept."""
    return home / "runs" / f"{routine}.json"


def read_record(path: Path) -> RunRecord | None:
    """Return the newest run, or None before the first."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        steps = [StepRecord(**step) for step in found.pop("steps")]
        return RunRecord(**found, steps=steps)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        return None  # of another version: the run is made anew


def now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(UTC)


@contextmanager
def run_lock(home: Path) -> Iterator[int]:
    """Hold the one lock of all runs; a step that outlives its run still holds it.

    Yields
    ------
    int
        The file descriptor, to be handed to each step.

    Raises
    ------
    BusyRunError
        At once, when another run or a step that it left behind holds the lock.
    """
    folder = home / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyRunError(
                "Another run is under way.", fix="wait for its end; this one changed nothing"
            ) from None
        yield handle.fileno()
