"""Everything once, step by step: what `make run` shows.

Each step is a command of `ffl-risk` in a process of its own: the demonstration does nothing that
the commands do not do, and this folder need not know the one that trains.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from features.errors import FflRiskError
from features.home import home
from serving.access.accounts import Directory
from serving.commands.launch import exec_server, require_free
from serving.commands.printing import ERR, OUT
from serving.errors import ServingError
from serving.scores.table.loaded_table import current
from serving.settings import Settings
from serving.store.database import Store

ACCOUNT: Final = "demo"
GATE_REFUSED: Final = 5
AGE_SETTING: Final = "FFL_RISK_TABLE_REFUSED_DAYS"
DEMO_DAYS: Final = 36_500
UNJUDGED: Final = "a demonstration, on records that nobody is inspected by"


@dataclass(frozen=True)
class Step:
    """One command of the demonstration.

    Parameters
    ----------
    name : str
        What it does, for people.
    arguments : sequence of str
        Of `ffl-risk`.
    may_refuse : bool
        Whether the run goes on when a gate refuses: the refusal is then part of the result.
    """

    name: str
    arguments: Sequence[str]
    may_refuse: bool = False


class StepError(ServingError):
    """A step of the demonstration that failed."""

    exit_code = 1


def run(*, is_real: bool, port: int, do_serve: bool) -> None:
    """Run the steps, print the ranked list and a sign-in token, then serve.

    Raises
    ------
    StepError
        When a step fails; the steps before it keep what they did.
    NotReadyError
        When the port is taken; no step has begun.
    """
    if do_serve:
        require_free("127.0.0.1", port)
    start = time.perf_counter()
    for step in real_steps() if is_real else simulated_steps():
        _run(step)
    _run(Step("score", ["score", "--as-of", _as_of(is_real=is_real)]))
    _allow_old_records()
    _run(Step("rank", ["rank", "--k", "20"]))
    token = _first_token()
    ERR.print(f"[bold]everything took {time.perf_counter() - start:.1f} s[/bold]")
    OUT.print(f"\nSign in at http://localhost:{port} with this token, shown only now:\n")
    OUT.print(f"    {token}\n", soft_wrap=True)
    if do_serve:
        ERR.print(f"Serving http://localhost:{port}; press Ctrl+C to stop.")
        exec_server("127.0.0.1", port)


def real_steps() -> list[Step]:
    """Return the steps over the published records that ship with the project."""
    import features

    records = Path(features.__file__).parent / "public_records"
    return [
        Step("ingest", ["ingest", str(records)]),
        Step("train", ["train", "--recipe", "public_records"], may_refuse=True),
        Step("promote", ["promote", "--accept-unjudged", UNJUDGED], may_refuse=True),
    ]


def simulated_steps() -> list[Step]:
    """Return the steps over a simulated country."""
    world = home() / "world"
    steps = [
        Step("simulate", ["simulate", "--out", str(world), "--dealers", "20000", "--years", "6"]),
        Step("ingest", ["ingest", str(world)]),
        Step("train", ["train", "--recipe", "country"], may_refuse=True),
        Step("promote", ["promote", "--accept-unjudged", UNJUDGED], may_refuse=True),
    ]
    return steps[1:] if world.is_dir() else steps


def _run(step: Step) -> None:
    ERR.print(f"[bold]{step.name}[/bold]: ffl-risk {' '.join(step.arguments)}")
    start = time.perf_counter()
    command = [sys.executable, "-P", "-m", "ffl_risk", *step.arguments]
    status = subprocess.run(command, env=_environment(), check=False).returncode  # noqa: S603
    seconds = time.perf_counter() - start
    if status == GATE_REFUSED and step.may_refuse:
        ERR.print(f"{step.name}: a gate refused, as printed above; the run goes on without it.")
    elif status:
        raise StepError(
            f"The step {step.name} failed.",
            found=f"exit code {status}",
            fix=f"see above; try it alone: ffl-risk {' '.join(step.arguments)}",
        )
    ERR.print(f"{step.name} took {seconds:.1f} s\n")


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _as_of(*, is_real: bool) -> str:
    """Return the day up to which the champion knows; of published records, that of their listing.

    Earlier than what it learned from, a list would know its own future. Of dealers there is one
    published listing, older than the inspections that taught the model; the list says so.
    """
    folder = home() / "champion" / current(home(), "champion")
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["as_of" if is_real else "trained_on"])


def _allow_old_records() -> None:
    """Let the demonstration list and plan by records that would be too old for a real visit."""
    if AGE_SETTING not in os.environ:
        os.environ[AGE_SETTING] = str(DEMO_DAYS)
        ERR.print(
            f"These records end long ago: lists and plans are made by them for show only "
            f"({AGE_SETTING}={DEMO_DAYS}). A service of your own refuses."
        )


def _first_token() -> str:
    """Make the demonstration's account if it is not there, and a token for it."""
    store = Store.open(Settings.from_environment().store_url)
    try:
        accounts = Directory(store)
        if ACCOUNT not in {account["name"] for account in accounts.accounts()}:
            accounts.add_account(ACCOUNT, "supervisor", areas=["nation"])
        return accounts.issue_token(ACCOUNT, label="demonstration", days=7)
    except FflRiskError as error:
        raise StepError("No token could be made.", found=error.what) from error
    finally:
        store.close()
