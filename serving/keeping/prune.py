"""Remove what nothing needs any more, by a stated rule; what a list was made from stays.

A scored table goes when it is not in force, not among the newest, older than a month, and no issued
list was made from it. A candidate goes when it is not among the newest, older than a year,
and is or was no champion. What a killed command left half written goes after a day. Of the
warehouse go the files that a commit replaced or a kill left behind, as its next writer would do.
Bundles, lists, the audit and reports are never removed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from features.errors import FflRiskError, WarehouseError
from features.warehouse.manifest import MANIFEST, Draft, write_lock
from serving.scores.table.loaded_table import current
from serving.store.database import Store
from serving.store.tables import LISTS

DAY: Final = 86_400.0
NEWEST_TABLES: Final = 3
TABLE_DAYS: Final = 31
NEWEST_CANDIDATES: Final = 12
CANDIDATE_DAYS: Final = 366
STAGING_DAYS: Final = 1
_PATIENCE_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Parameters
    ----------
    tables, candidates, left_overs : tuple of str
        Paths below the state folder.
    n_bytes : int
        Bytes of all of them.
    """

    tables: tuple[str, ...]
    candidates: tuple[str, ...]
    left_overs: tuple[str, ...]
    n_bytes: int


def prune(home: Path, store: Store, *, is_trial: bool = False) -> Pruned:
    """Remove by the rule above.

    Parameters
    ----------
    is_trial : bool
        Remove nothing; say what would go.
    """
    tables = list(_tables(home, _named(store)))
    candidates = list(_candidates(home))
    left_overs = list(_left_overs(home))
    n_bytes = sum(_size(path) for path in (*tables, *candidates, *left_overs))
    if not is_trial:
        for path in (*tables, *candidates, *left_overs):
            _remove(path)
        _sweep(home / "warehouse")

    def below(paths: list[Path]) -> tuple[str, ...]:
        return tuple(path.relative_to(home).as_posix() for path in paths)

    return Pruned(below(tables), below(candidates), below(left_overs), n_bytes)


def _named(store: Store) -> set[str]:
    """Return the tables that lists were made from."""
    with store.read() as connection:
        return set(connection.scalars(sa.select(LISTS.c.scored).distinct()))


def _tables(home: Path, named: set[str]) -> Iterator[Path]:
    try:
        named = named | {current(home, "scored")}
    except FflRiskError:
        return  # what is in force is not known, so nothing is known not to be
    numbered = sorted((home / "scored").glob("[0-9]" * 6))
    for path in numbered[:-NEWEST_TABLES]:
        if path.name not in named and _is_older(path, TABLE_DAYS):
            yield path


def _candidates(home: Path) -> Iterator[Path]:
    try:
        champion: dict[str, Any] = json.loads((home / "champion.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    entries = [champion, *champion.get("history", ())]
    stays = {str(entry.get("candidate", "")) for entry in entries}
    numbered = sorted((home / "candidates").glob("[0-9]" * 6))
    for path in numbered[:-NEWEST_CANDIDATES]:
        if path.name not in stays and _is_older(path, CANDIDATE_DAYS):
            yield path


def _left_overs(home: Path) -> Iterator[Path]:
    """Yield what was being written when its writer was killed."""
    for folder in ("scored", "candidates", "champion"):
        for path in sorted((home / folder).glob(".*")):
            if _is_older(path, STAGING_DAYS):
                yield path


def _is_older(path: Path, days: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > days * DAY
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(path: Path) -> None:
    """Take a folder's name away first: no reader sees a part of it."""
    if path.is_file():
        path.unlink(missing_ok=True)
        return
    going = path.with_name(f".going-{path.name}")
    path.rename(going)
    shutil.rmtree(going)


def _sweep(warehouse: Path) -> None:
    """Do what the warehouse's next writer would begin with."""
    if not (warehouse / MANIFEST).is_file():
        return
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with write_lock(warehouse):
                draft = Draft(warehouse)
                draft.open_staging()
                draft.close()
            return
        except WarehouseError:
            # The service takes events in now and then, for a moment.
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
