"""The tables of a year's quarters and which of their cells are hidden; each is released once.

A quarter that was released is kept in the home folder as it went out, without its hidden figures,
and is what everybody gets from then on: records that come in later, or are withdrawn, change no
release, so that two files of one quarter never differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from features.engine.embedded import EmbeddedEngine
from features.errors import InvalidValueError, WarehouseError
from features.home import write_atomically
from features.insight.sharing.bound_cells import System
from features.insight.sharing.rules import Rules, release_day, rules_on
from features.insight.sharing.suppression import Pattern, protect
from features.insight.sharing.tables import (
    Groups,
    groups_of,
    seizures_of,
    system_of,
    traces_of,
)
from features.warehouse import Warehouse

FOLDER: Final = "releases"
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Quarter:
    """A quarter's tables and which of their cells are hidden, with the hidden figures."""

    name: str
    system: System
    pattern: Pattern
    rules: Rules
    groups: Groups


@dataclass(frozen=True)
class Published:
    """What of a quarter is shown, and nothing that is hidden.

    Parameters
    ----------
    name : str
    rules : Rules
    groups : Groups
    cells : dict of (table, row, column) to int or None
        Firearms; None where they are hidden.
    warehouse : str
        Fingerprint of the warehouse that it was counted in.
    """

    name: str
    rules: Rules
    groups: Groups
    cells: dict[Key, int | None]
    warehouse: str

    @property
    def shown(self) -> dict[Key, int]:
        """The published cells."""
        return {key: n for key, n in self.cells.items() if n is not None}


def year_tables(
    warehouse: Warehouse, last: str, *, released: Sequence[Published] = ()
) -> list[Quarter]:
    """Make the tables of a year's quarters up to one, after those that were released already.

    Each is judged by the rules of its own day of release, and its pattern holds all that was
    hidden before it in the year.

    Raises
    ------
    UnprotectedReleaseError
        When hidden cells can be worked out.
    WarehouseError
        When the warehouse holds no traces or no licenses.
    """
    for table in ("traces", "licenses"):
        if not warehouse.has(table):
            raise WarehouseError(
                f"Nothing can be released: the warehouse holds no {table}.",
                fix=f"ingest a file of {table}",
            )
    hidden: set[Key] = {key for one in released for key, n in one.cells.items() if n is None}
    groups: Groups | None = released[0].groups if released else None
    made: list[Quarter] = []
    with EmbeddedEngine(warehouse) as engine:
        for number in range(len(released) + 1, int(last[5]) + 1):
            name = f"{last[:4]}Q{number}"
            rules = rules_on(release_day(name))
            traces, seized = traces_of(engine, name), seizures_of(engine, name)
            groups = groups or groups_of(traces, seized, rules)
            system = system_of(traces, seized, groups)
            pattern = protect(system, rules, before=hidden)
            hidden |= {system.cells[p].key for p in np.flatnonzero(pattern.is_hidden)}
            made.append(Quarter(name, system, pattern, rules, groups))
    return made


def published(quarter: Quarter, fingerprint: str) -> Published:
    """Return what of a quarter is shown."""
    hidden = quarter.pattern.is_hidden
    cells = {cell.key: None if hidden[i] else cell.n for i, cell in enumerate(quarter.system.cells)}
    return Published(quarter.name, quarter.rules, quarter.groups, cells, fingerprint)


def released_year(warehouse: Warehouse, last: str, home: Path) -> list[Published]:
    """Return a year's quarters up to one: those kept as released, and the others made and kept.

    Raises
    ------
    InvalidValueError
        When what is kept of a quarter cannot be read.
    UnprotectedReleaseError, WarehouseError
        As `year_tables`.
    """
    names = [f"{last[:4]}Q{number}" for number in range(1, int(last[5]) + 1)]
    found: list[Published] = []
    for name in names:
        one = kept(home, name)
        if one is None:
            break
        found.append(one)
    if len(found) < len(names):
        made = year_tables(warehouse, last, released=found)
        found += [keep(published(one, warehouse.fingerprint), home) for one in made]
    return found


def keep(quarter: Published, home: Path) -> Published:
    """Keep what of a quarter is shown, once; a later one of the same quarter is the one kept."""
    path = home / FOLDER / f"{quarter.name}.json"
    if not path.exists():
        content = {
            "quarter": quarter.name,
            "warehouse": quarter.warehouse,
            "rules": asdict(quarter.rules) | {"starts_on": quarter.rules.starts_on.isoformat()},
            "groups": asdict(quarter.groups),
            "cells": [[*key, n] for key, n in quarter.cells.items()],
        }
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    return kept(home, quarter.name) or quarter


def kept(home: Path, name: str) -> Published | None:
    """Return a quarter as it was released, None when it was not.

    Raises
    ------
    InvalidValueError
        When the file is damaged.
    """
    path = home / FOLDER / f"{name}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _published(content, name)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValueError(
            f"The release {path} cannot be read.",
            found=f"{type(error).__name__}: {error}",
            fix="restore it from a backup: what went out must not be worked out anew",
        ) from error


def _published(content: dict[str, Any], name: str) -> Published:
    if content["quarter"] != name:
        raise ValueError(f"it holds {content['quarter']}")
    rules = content["rules"]
    groups = {field: tuple(names) for field, names in content["groups"].items()}
    return Published(
        name,
        Rules(**(rules | {"starts_on": date.fromisoformat(rules["starts_on"])})),
        Groups(**groups),
        {(table, row, column): n for table, row, column, n in content["cells"]},
        str(content["warehouse"]),
    )
