"""Promotion: one bundle is in force, and what is in force changes in one step.

The commit point is the atomic replacement of ``champion.json``; before it nothing has changed,
after it everything has. The alias in the registry follows and is set right by the next command
if the process died in between (`reconcile`). A file lock lets one promotion in at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.home import (
    ChampionEntry,
    JudgedRecord,
    keep_private,
    sync_folder,
    write_json,
)
from models.policy import Policy
from training.errors import BusyError, NotTrainedError
from training.evaluation.candidate import STAGING, Candidate, next_number, open_candidate
from training.registry.tracker import Tracker

CHAMPION = "champion"


@dataclass(frozen=True)
class Champion:
    """The bundle in force.

    Parameters
    ----------
    bundle : str
        Folder under ``champion/``.
    name, version : str
        Registered model and version.
    candidate : str
        Number of the candidate it came from; empty when it was promoted elsewhere (`adopt`).
    history : tuple of mapping
        Champions before it, oldest first.
    judged : mapping, optional
        What its gates could not say, and what was waived (`judged_record`); None where it was
        promoted before that was kept.
    """

    bundle: str
    name: str
    version: str
    candidate: str
    history: tuple[ChampionEntry, ...] = ()
    judged: JudgedRecord | None = None

    def entry(self) -> ChampionEntry:
        """Return what history keeps of it."""
        entry: ChampionEntry = {
            "bundle": self.bundle,
            "name": self.name,
            "version": self.version,
            "candidate": self.candidate,
        }
        if self.judged is not None:
            entry["judged"] = self.judged
        return entry


def read_champion(folder: Path) -> Champion | None:
    """Return the champion in force, or None before the first promotion."""
    path = folder / "champion.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return Champion(
        record["bundle"],
        record["name"],
        record["version"],
        record["candidate"],
        tuple(record["history"]),
        record.get("judged"),
    )


def policy_in_force(folder: Path) -> Policy:
    """Return the policy of the champion; the one that ships before the first promotion."""
    champion = read_champion(folder)
    if champion is None:
        return Policy.read()
    return Policy.read(folder / "champion" / champion.bundle / "policy.toml")


@contextmanager
def promotion_lock(folder: Path, *, patience_s: float = 60.0) -> Iterator[None]:
    """Hold the one lock of promotions; it goes with the process, however that ends.

    Raises
    ------
    BusyError
        When another process holds it for longer than `patience_s`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    with (folder / "promotion.lock").open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(
                        "Another promotion is under way.",
                        fix="wait for it to finish and try again",
                    ) from None
                time.sleep(0.05)
        yield


def reconcile(folder: Path, tracker: Tracker) -> Champion | None:
    """Bring the registry in line with ``champion.json`` and sweep what a kill left behind.

    Call it under `promotion_lock`.
    """
    place = folder / CHAMPION
    for leftover in place.glob(f"{STAGING}*"):
        shutil.rmtree(leftover)
    champion = read_champion(folder)
    if champion is not None and champion.candidate:
        current = tracker.ask("alias_version", name=champion.name, alias=CHAMPION)
        if current != champion.version:
            _point_alias(champion, tracker)
    return champion


def install(
    folder: Path,
    candidate: Candidate,
    tracker: Tracker,
    *,
    judged: JudgedRecord | None = None,
) -> Champion:
    """Put a candidate in force. Call it under `promotion_lock`, after the gates.

    Parameters
    ----------
    judged : mapping, optional
        What the gates could not say (`judged_record`); it stays with the champion.

    Returns
    -------
    Champion
        The new one.
    """
    entry = {
        "name": candidate.name,
        "version": candidate.version,
        "candidate": candidate.number,
        "judged": judged,
    }
    champion = _put_in_force(folder, candidate.bundle_folder, entry)
    _point_alias(champion, tracker)
    return champion


def adopt(folder: Path, bundle: Path, entry: Mapping[str, Any]) -> Champion:
    """Put a bundle in force that was promoted elsewhere. Call it under `promotion_lock`.

    This folder's registry and candidates know nothing of it: its candidate is empty, and no alias
    follows it.

    Parameters
    ----------
    bundle : Path
        Its folder, verified.
    entry : mapping
        ``name`` and ``version`` where it was promoted, and what its gates could not say there.
    """
    known = {
        "name": entry["name"],
        "version": entry["version"],
        "candidate": "",
        "judged": entry.get("judged"),
    }
    return _put_in_force(folder, bundle, known)


def _put_in_force(folder: Path, bundle: Path, entry: Mapping[str, Any]) -> Champion:
    keep_private(folder)
    before = read_champion(folder)
    place = folder / CHAMPION
    place.mkdir(parents=True, exist_ok=True)
    staged = place / f"{STAGING}{os.getpid()}"
    try:
        _copy(bundle, staged)
        _sync_tree(staged)
    except OSError:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    number = f"{next_number(place):06d}"
    staged.rename(place / number)
    sync_folder(place)
    history = (*before.history, before.entry()) if before is not None else ()
    champion = Champion(number, **entry, history=history)
    _commit(folder, champion)
    return champion


def _copy(folder: Path, to: Path) -> None:
    """Copy a folder; of a full disk the first file tells, where `shutil.copytree` sums up."""
    to.mkdir()
    for path in sorted(folder.rglob("*")):
        target = to / path.relative_to(folder)
        if path.is_dir():
            target.mkdir()
        else:
            shutil.copy2(path, target)


def roll_back(folder: Path, tracker: Tracker) -> Champion:
    """Put the champion before this one back in force. Call it under `promotion_lock`.

    Raises
    ------
    NotTrainedError
        When there is no champion before this one.
    """
    current = read_champion(folder)
    if current is None or not current.history:
        raise NotTrainedError(
            "There is nothing to roll back to.",
            found="no champion" if current is None else f"only champion {current.bundle}",
            fix="promote at least twice first",
        )
    last = current.history[-1]
    champion = Champion(**last, history=current.history[:-1])
    _commit(folder, champion)
    _point_alias(champion, tracker)
    return champion


def _point_alias(champion: Champion, tracker: Tracker) -> None:
    """Let the registry's alias follow, unless the champion is of another registry."""
    if champion.candidate:
        tracker.ask(
            "set_alias", name=champion.name, alias=CHAMPION, version=champion.version,
            tags={"bundle": champion.bundle},
        )  # fmt: skip


def champion_candidate(folder: Path, champion: Champion | None) -> Candidate | None:
    """Return the candidate the champion came from, if it is still on disk."""
    if champion is None or not champion.candidate:
        return None
    try:
        return open_candidate(folder, champion.candidate)
    except NotTrainedError:
        return None


def _commit(folder: Path, champion: Champion) -> None:
    write_json(folder / "champion.json", {**champion.entry(), "history": list(champion.history)})


def _sync_tree(folder: Path) -> None:
    """Make every file of a folder durable before its name is."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)
