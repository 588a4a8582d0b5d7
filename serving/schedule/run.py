"""One run: each step a process of its own, what it says in a log, how it ended in the record."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.home import keep_private
from serving.schedule.inbox import has_news
from serving.schedule.record import (
    RunRecord,
    StepRecord,
    now,
    read_record,
    record_file,
    run_lock,
)
from serving.schedule.routines import (
    COLLECT,
    GATE_REFUSED,
    INGEST,
    INPUT_REFUSED,
    Asked,
    Step,
    steps_of,
)

FAILED: Final = 1
_SIGNALED: Final = 128
_TOLD: Final = 160
_KEPT_LOGS: Final = 60


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Parameters
    ----------
    line : str
        All of it in one line, without restricted values.
    exit_code : int
        0 done, 5 a gate refused a model, 3 records were refused; 1 when a step failed, 128 and
        the signal when one was killed.
    """

    record: RunRecord
    line: str
    exit_code: int


def run(asked: Asked, *, again: bool = False) -> Result:
    """Do what is left of the period's steps.

    Parameters
    ----------
    again : bool
        Do all of them, though the period's run is over or was begun.

    Raises
    ------
    BusyRunError
        When another run is under way; nothing is done then.
    """
    keep_private(asked.home)
    path = record_file(asked.home, asked.routine)
    with run_lock(asked.home) as lock:
        kept = read_record(path)
        if kept is None or kept.period != asked.period or again:
            kept = RunRecord(asked.routine, asked.period, began_at=now().isoformat())
        elif kept.is_over:
            return Result(kept, f"{_name(kept)}: done already", 0)
        kept.ended_at, kept.exit_code = "", None
        kept.write(path)
        log = path.with_name(f"{asked.routine}-{asked.period}.log")
        is_anew = _has_news(asked)
        for step in steps_of(asked):
            before = kept.step(step.name)
            if before is not None and before.is_fresh(now()) and not is_anew:
                continue
            done = _do(step, asked, log, lock)
            kept.keep(done, path)
            if done.outcome == "failed":
                break
        kept.ended_at, kept.exit_code = now().isoformat(), _exit_code(kept)
        kept.write(path)
        _forget_old_logs(log)
    return Result(kept, summary(kept), kept.exit_code)


def _has_news(asked: Asked) -> bool:
    """Whether something was delivered since: a run that goes on then does all of it again.

    What made it fail may be what the delivery mends.
    """
    return asked.inbox is not None and has_news(asked.inbox, asked.settled_seconds)


def summary(record: RunRecord) -> str:
    """Return a run in one line.

    >>> step = StepRecord("check", "done", 61.0, 0, "2026-01-01T00:00:00+00:00")
    >>> summary(RunRecord("nightly", "2026-01-01", "", steps=[step]))
    'nightly 2026-01-01: done in 61 s (check 61 s)'
    """
    failed = next((s for s in record.steps if s.outcome == "failed"), None)
    refused = [s.name for s in record.steps if s.outcome == "refused"]
    how = "done"
    if failed is not None:
        how = f"FAILED at {failed.name} with exit code {failed.exit_code}"
    elif refused:
        how = f"done, refused at {' and '.join(refused)}"
    parts = [
        f"{s.name} {s.seconds:.0f} s" if s.outcome != "not due" else f"{s.name} not due"
        for s in record.steps
    ]
    seconds = sum(s.seconds for s in record.steps)
    line = f"{_name(record)}: {how} in {seconds:.0f} s ({', '.join(parts)})"
    told = failed or next((s for s in record.steps if _is_set_aside(s)), None)
    return f"{line}: {told.told}" if told is not None and told.told else line


def _name(record: RunRecord) -> str:
    return f"{record.routine} {record.period}"


def _exit_code(record: RunRecord) -> int:
    failed = [s.exit_code for s in record.steps if s.outcome == "failed"]
    if failed:
        # Not the step's own code, which the line tells: by that of a run a timer or an alarm says
        # whether all is well, and a chain that does not hold ends its step with a gate's code.
        return failed[0] if failed[0] > _SIGNALED else FAILED
    if any(map(_is_set_aside, record.steps)):
        return INPUT_REFUSED
    return GATE_REFUSED if any(s.outcome == "refused" for s in record.steps) else 0


def _is_set_aside(step: StepRecord) -> bool:
    """Whether records were refused: someone has to see to them, unlike to a model's gate."""
    return step.name in (INGEST, COLLECT) and step.outcome == "refused"


def _do(step: Step, asked: Asked, log: Path, lock: int) -> StepRecord:
    """Do a step, or say why it is not due."""
    reason = step.is_due()
    if reason:
        return StepRecord(step.name, "not due", 0.0, 0, now().isoformat(), reason)
    begun = time.monotonic()
    with log.open("ab") as stream:
        stream.write(f"== {now():%Y-%m-%d %H:%M:%S} ffl-risk {' '.join(step.arguments)}\n".encode())
        stream.flush()
        start = stream.tell()
        # The step keeps the lock open: one that outlives a killed run still shuts out the next.
        code = subprocess.run(  # noqa: S603 - the project's own commands
            [sys.executable, "-P", "-m", "ffl_risk", *step.arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=_environment(asked),
            pass_fds=(lock,),
            check=False,
        ).returncode
    seconds = round(time.monotonic() - begun, 1)
    ended = now().isoformat()
    if code == 0:
        return StepRecord(step.name, "done", seconds, 0, ended)
    if code == GATE_REFUSED and step.may_refuse:
        return StepRecord(step.name, "refused", seconds, code, ended, _said(log, start))
    # A negative number is the signal that ended it; a shell would report it like this.
    code = code if code > 0 else 128 - code
    return StepRecord(step.name, "failed", seconds, code, ended, _said(log, start))


def _environment(asked: Asked) -> dict[str, str]:
    return {
        **os.environ,
        "FFL_RISK_HOME": str(asked.home.absolute()),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "NO_COLOR": "1",
    }


def _said(log: Path, start: int) -> str:
    """Return the line in which a step said what was wrong: `ffl-risk: ...`, else its last one."""
    with log.open("rb") as stream:
        stream.seek(start)
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    own = [line.removeprefix("ffl-risk: ") for line in lines if line.startswith("ffl-risk: ")]
    return (own or lines or [""])[-1][:_TOLD]


def _forget_old_logs(log: Path) -> None:
    """Keep the newest logs of all runs."""
    logs = sorted(log.parent.glob("*.log"), key=lambda p: p.stat().st_mtime)
    for old in logs[:-_KEPT_LOGS]:
        old.unlink(missing_ok=True)
