"""Trials as kept: the assignment in a file, its digest in the audit, never changed after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa

from features.home import write_atomically
from models.policy import Policy, SevereFinding
from serving.access.audit.writer import Ledger
from serving.errors import InvalidRequestError, UnknownListError
from serving.store import journal
from serving.store.database import Store
from serving.store.tables import AUDIT
from serving.trials.design import Cell, Place, Power

Kind = Literal["office_by_period", "interleaved"]
ACTION: Final = "trial_plan"
# Inspections that find much close late: a reading waits for them.
WAIT_DAYS: Final = 120


class UnknownTrialError(UnknownListError):
    """No trial of that name, or its file is not the one that was planned."""

    code = "unknown_trial"


@dataclass(frozen=True)
class Look:
    """A day on which the trial may be read, and the level of its interval."""

    on: date
    level: float


@dataclass(frozen=True)
class Trial:
    """A trial as planned.

    Parameters
    ----------
    trial_id, question : str
    kind : {"office_by_period", "interleaved"}
    arm_a, arm_b : str
        What either arm does, in words.
    starts_on, ends_on : date
    looks : tuple of Look
        The last is the end.
    seed : int
        Of the lot.
    power : Power
    cells : tuple of Cell
        Offices in periods; empty for an interleaved trial.
    places : tuple of Place
        Dealers; empty for a trial by office and period.
    severe : SevereFinding, optional
        What is severe, fixed when the trial is planned; None in a trial of an earlier version,
        which goes by the policy that ships.
    """

    trial_id: str
    question: str
    kind: Kind
    arm_a: str
    arm_b: str
    starts_on: date
    ends_on: date
    looks: tuple[Look, ...]
    seed: int
    power: Power
    cells: tuple[Cell, ...] = ()
    places: tuple[Place, ...] = ()
    severe: SevereFinding | None = None

    @property
    def rule(self) -> SevereFinding:
        """What is severe."""
        return self.severe or Policy.read().severe_finding

    @property
    def share(self) -> float:
        """Share of either list that the other does not have."""
        n = sum(place.side in ("both", "a") for place in self.places)
        return sum(place.side == "a" for place in self.places) / max(n, 1)

    def look(self, day: date) -> Look | None:
        """Return the last planned look on or before a day."""
        passed = [look for look in self.looks if look.on <= day]
        return passed[-1] if passed else None


def path_of(home: Path, trial_id: str) -> Path:
    """Return where a trial's assignment is."""
    return home / "trials" / f"{trial_id}.json"


def keep(store: Store, ledger: Ledger, home: Path, trial: Trial) -> Path:
    """Write a trial's assignment and record its digest in the audit.

    Raises
    ------
    InvalidRequestError
        When a trial of that name was planned before.
    """
    path = path_of(home, trial.trial_id)
    content = (json.dumps(asdict(trial), indent=1, default=str, sort_keys=True) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = hashlib.sha256(content).hexdigest()
    with store.write() as connection:
        journal.lock(connection)
        if path.exists():
            raise InvalidRequestError(
                f"A trial {trial.trial_id} is planned already.", fix="give the new one another name"
            )
        ledger.add(connection, ACTION, f"{trial.trial_id} sha256:{digest}")
        write_atomically(path, content)
    path.chmod(0o600)
    return path


def read(store: Store, home: Path, trial_id: str) -> Trial:
    """Read a trial, and prove that it is the one that was planned.

    Raises
    ------
    UnknownTrialError
        When there is none, or its bytes are not those in the audit.
    """
    try:
        content = path_of(home, trial_id).read_bytes()
    except FileNotFoundError:
        raise UnknownTrialError(
            f"There is no trial {trial_id!r}.", fix="plan one: ffl-risk trial plan"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    query = sa.select(AUDIT.c.subject).where(AUDIT.c.action == ACTION)
    with store.read() as connection:
        known = {row.subject for row in connection.execute(query)}
    if f"{trial_id} sha256:{digest}" not in known:
        raise UnknownTrialError(
            f"The assignment of trial {trial_id} is not the one that was planned.",
            found=f"sha256:{digest}",
            fix="restore its file from a backup; a changed assignment cannot be read",
        )
    return _from_json(json.loads(content))


def wait(day: date) -> date:
    """Return the day on which what was opened before `day` can be read."""
    return day + timedelta(days=WAIT_DAYS)


def _from_json(document: Mapping[str, Any]) -> Trial:
    def dated(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
        return {k: date.fromisoformat(v) if k in names else v for k, v in entry.items()}

    return Trial(
        **{
            **dated(document, "starts_on", "ends_on"),
            "looks": tuple(Look(**dated(look, "on")) for look in document["looks"]),
            "power": Power(**document["power"]),
            "cells": tuple(Cell(**dated(c, "starts_on", "ends_on")) for c in document["cells"]),
            "places": tuple(Place(**place) for place in document["places"]),
            "severe": SevereFinding(**document["severe"]) if document.get("severe") else None,
        }
    )
