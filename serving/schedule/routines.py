"""What is done in a night and in a month, as commands of `ffl-risk` in this order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from features.openjson import Json

Routine = Literal["nightly", "monthly"]
GATE_REFUSED: Final = 5
INPUT_REFUSED: Final = 3
INGEST: Final = "ingest"
COLLECT: Final = "collect"


@dataclass(frozen=True)
class Asked:
    """What a run is asked to do.

    Parameters
    ----------
    routine : {"nightly", "monthly"}
    today : date
        The day it stands on.
    home : Path
        State folder.
    inbox : Path, optional
        Folder of new records, taken in first, or a file of them.
    recipe : str
        What is trained.
    retrain_days : int
        A champion whose records are older is replaced, whatever drift says.
    settled_seconds : float
        For so long nothing of a delivery may have changed.
    """

    routine: Routine
    today: date
    home: Path
    inbox: Path | None = None
    recipe: str = "country"
    retrain_days: int = 365
    settled_seconds: float = 300.0

    @property
    def period(self) -> str:
        """The day or the month that is done once."""
        return self.today.isoformat() if self.routine == "nightly" else f"{self.today:%Y-%m}"


@dataclass(frozen=True)
class Step:
    """One command.

    Parameters
    ----------
    name : str
        For people and for the record.
    arguments : sequence of str
        Of `ffl-risk`.
    is_due : callable
        Called when its turn comes; why it is not done, or nothing.
    may_refuse : bool
        A gate that refuses (exit code 5), a model, a delivery or a row, ends the step, not the run;
        the run's exit code tells it.
    """

    name: str
    arguments: Sequence[str]
    is_due: Callable[[], str] = lambda: ""
    may_refuse: bool = False


def steps_of(asked: Asked) -> list[Step]:
    """Return the steps of a routine."""
    day = asked.today.isoformat()
    score = ["score", "--as-of", day]
    steps = [] if asked.inbox is None else [_ingest(asked.inbox)]
    steps += [
        Step(COLLECT, ["collect", "--json"], may_refuse=True),
        Step("check", ["check"]),
        Step("score", score, is_due=lambda: _without_champion(asked.home)),
    ]
    if asked.routine == "monthly":
        begun = _champion(asked.home).get("bundle", "")
        steps += [
            Step("drift", ["drift", "--as-of", day], is_due=lambda: _without_champion(asked.home)),
            Step(
                "train",
                ["train", "--recipe", asked.recipe],
                is_due=lambda: _not_to_be_trained(asked),
                may_refuse=True,
            ),
            Step(
                "promote",
                ["promote"],
                is_due=lambda: _not_to_be_trained(asked),
                may_refuse=True,
            ),
            Step("score again", score, is_due=lambda: _same_champion(asked.home, str(begun))),
        ]
    steps += [Step("audit", ["audit", "verify"]), Step("prune", ["prune"])]
    if asked.routine == "nightly":
        # The first night of a week issues, the others find it done.
        issue = ["lists", "issue"]
        steps.append(Step("lists", issue, is_due=lambda: _without_champion(asked.home)))
    return steps


def _ingest(inbox: Path) -> Step:
    """Take in a folder, delivery by delivery; a file that is named is loaded where it stands."""
    if inbox.is_dir():
        return Step(INGEST, ["receive", str(inbox)], may_refuse=True)
    return Step(INGEST, ["ingest", str(inbox)])


def _champion(home: Path) -> Json:
    return _read(home / "champion.json")


def _without_champion(home: Path) -> str:
    return "" if _champion(home) else "no champion yet"


def _same_champion(home: Path, begun: str) -> str:
    """Say that what was scored is still in force.

    The table tells by which bundle it was scored, so that a run that goes on after a kill knows.
    """
    name = str(_read(home / "scored.json").get("scored", ""))
    by = str(_read(home / "scored" / name / "manifest.json").get("champion", begun))
    return "the same champion" if by == _champion(home).get("bundle", "") else ""


def _not_to_be_trained(asked: Asked) -> str:
    """Say why no model is trained; empty when one is due."""
    champion = _champion(asked.home)
    if not champion:
        return ""
    advice = str(_read(asked.home / "reports/drift.json").get("advice", ""))
    if advice == "check the source":
        return "a source is to be checked first, see reports/drift.html"
    bundle = asked.home / "champion" / str(champion["bundle"]) / "manifest.json"
    stated = str(_read(bundle).get("as_of", ""))
    age = (asked.today - date.fromisoformat(stated)).days if stated else asked.retrain_days + 1
    if advice == "train again" or age > asked.retrain_days:
        return ""
    return f"not due: drift says {advice or 'nothing'}, the champion is {age} days old"


def _read(path: Path) -> Json:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
