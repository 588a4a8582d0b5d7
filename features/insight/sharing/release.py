"""Make a release: the tables of a quarter for one partner, with its manifest. The door."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from features.engine.embedded import EmbeddedEngine
from features.errors import InvalidValueError, WarehouseError
from features.insight.sharing.rules import (
    Partner,
    Rules,
    quarter_of,
    rules_on,
)
from features.insight.sharing.suppress import Pattern, protect
from features.insight.sharing.system import System
from features.insight.sharing.tables import (
    REST,
    Groups,
    groups_of,
    seizures_of,
    system_of,
    traces_of,
)
from features.warehouse import Warehouse

DISCLAIMERS: Final = (
    "Firearms are traced for many reasons, and not all that are traced were used in a crime. "
    "Traced firearms are no random sample and do not stand for all firearms used in crime; the "
    "first retail sale does not tell how a firearm came to be misused.",
    "Cells with fewer firearms or dealers than the rules ask for, cells that rest on one dealer, "
    "and cells that would give those away are left empty. An empty cell is not a zero.",
    "A quarter counts firearms whose trace first became known in it. It is released once and not "
    "revised, so quarters may be added and compared.",
)


@dataclass(frozen=True)
class Quarter:
    """A quarter's tables and which of their cells are hidden."""

    name: str
    system: System
    pattern: Pattern
    rules: Rules
    groups: Groups


@dataclass(frozen=True)
class Release:
    """What one partner receives.

    Parameters
    ----------
    partner : Partner
    quarter : str
    files : dict of str to bytes
        File name to content, the manifest included.
    n_published, n_hidden : int
        Cells of the partner's own tables.
    """

    partner: Partner
    quarter: str
    files: dict[str, bytes]
    n_published: int
    n_hidden: int


def quarter_tables(warehouse: Warehouse, quarter: str, rules: Rules) -> Quarter:
    """Make a quarter's tables; see `year_tables`."""
    return year_tables(warehouse, quarter, rules)[-1]


def year_tables(warehouse: Warehouse, last: str, rules: Rules) -> list[Quarter]:
    """Make the tables of a year's quarters up to one.

    The pattern of each holds all that was hidden before it in the year.

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
    hidden: set[tuple[str, str, str]] = set()
    groups: Groups | None = None
    made: list[Quarter] = []
    with EmbeddedEngine(warehouse) as engine:
        for number in range(1, int(last[5]) + 1):
            name = f"{last[:4]}Q{number}"
            traces, seized = traces_of(engine, name), seizures_of(engine, name)
            groups = groups or groups_of(traces, seized, rules)
            system = system_of(traces, seized, groups)
            pattern = protect(system, rules, before=hidden)
            hidden |= {system.cells[p].key for p in np.flatnonzero(pattern.is_hidden)}
            made.append(Quarter(name, system, pattern, rules, groups))
    return made


def release(
    warehouse: Warehouse, partner: Partner, released_on: date, *, purpose: str, today: date
) -> Release:
    """Make what a partner receives on a day of the calendar.

    Parameters
    ----------
    warehouse : Warehouse
    partner : Partner
    released_on : date
        A day of the calendar, not after `today`.
    purpose : str
        Why, for the manifest.

    Raises
    ------
    InvalidValueError
        When the day is not on the calendar, or still to come.
    """
    quarter = quarter_of(released_on)
    if released_on > today:
        raise InvalidValueError(
            f"{quarter} is released on {released_on}, which is still to come.",
            expected=f"a day of the calendar up to {today}",
        )
    made = quarter_tables(warehouse, quarter, rules_on(released_on))
    return part_of(made, partner, warehouse.fingerprint, (released_on, purpose))


def part_of(made: Quarter, partner: Partner, fingerprint: str, why: tuple[date, str]) -> Release:
    """Return a partner's part of a quarter, as files."""
    files: dict[str, bytes] = {}
    n_published = n_hidden = 0
    for table in partner.tables:
        rows = [
            (cell.key, None if made.pattern.is_hidden[i] else cell.n)
            for i, cell in enumerate(made.system.cells)
            if cell.key[0] == table and _is_for(cell.key, partner, made.groups)
        ]
        n_hidden += sum(n is None for _, n in rows)
        n_published += sum(n is not None for _, n in rows)
        files[f"{table}.csv"] = _csv(rows)
    manifest = _manifest(made, partner, fingerprint, why) | {
        "n_published": n_published,
        "n_hidden": n_hidden,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    files["manifest.json"] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return Release(partner, made.name, files, n_published, n_hidden)


def _is_for(key: tuple[str, str, str], partner: Partner, groups: Groups) -> bool:
    """Whether a cell lies within a partner's destinations."""
    if not partner.destinations:
        return True
    table, row, column = key
    if table == "classes":
        return row in partner.destinations
    southern = {*groups.markets, REST} if "mexico" in partner.destinations else set()
    return column in southern | set(partner.destinations)


def _csv(rows: list[tuple[tuple[str, str, str], int | None]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "column", "firearms", "status"))
    for (_, row, column), n in rows:
        writer.writerow(
            (row, column, "" if n is None else n, "hidden" if n is None else "published")
        )
    return text.getvalue().encode()


def _manifest(
    made: Quarter, partner: Partner, fingerprint: str, why: tuple[date, str]
) -> dict[str, Any]:
    rules = asdict(made.rules)
    return {
        "for": partner.name,
        "partner": partner.label,
        "agreement": partner.agreement,
        "purpose": why[1],
        "quarter": made.name,
        "released_on": why[0].isoformat(),
        "rules": rules | {"starts_on": made.rules.starts_on.isoformat()},
        "warehouse": fingerprint,
        "disclaimers": list(DISCLAIMERS),
        "attack": "linear programs over all published sums; no hidden cell is exactly recoverable",
    }
