"""Make a release: a partner's part of a quarter's tables, with its manifest. The door."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

from features.domain.spreadsheet_formulas import neutral_row
from features.errors import InvalidValueError
from features.insight.sharing.bound_cells import TOTAL
from features.insight.sharing.quarters import Key, Published, released_year
from features.insight.sharing.rules import Partner, quarter_of
from features.insight.sharing.tables import REST, Groups
from features.openjson import Json
from features.reference.geography.border_distances import ports
from features.reference.geography.places import states
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
_CROSSINGS: Final = "crossings.csv"


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


def release(
    warehouse: Warehouse, partner: Partner, released_on: date, *, purpose: str, home: Path
) -> Release:
    """Make what a partner receives on a day of the calendar.

    Parameters
    ----------
    warehouse : Warehouse
    partner : Partner
    released_on : date
        A day of the calendar, not after today; see `require_past`.
    purpose : str
        Why, for the manifest.
    home : Path
        Where released quarters are kept.
    """
    made = released_year(warehouse, quarter_of(released_on), home)[-1]
    return part_of(made, partner, (released_on, purpose))


def require_past(released_on: date, today: date) -> str:
    """Return the quarter that was released on a day.

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
    return quarter


def part_of(made: Published, partner: Partner, why: tuple[date, str]) -> Release:
    """Return a partner's part of a quarter, as files."""
    files: dict[str, bytes] = {}
    n_published = n_hidden = 0
    for table in partner.tables:
        rows = [
            (key, n)
            for key, n in made.cells.items()
            if key[0] == table and _is_for(key, partner, made.groups)
        ]
        n_hidden += sum(n is None for _, n in rows)
        n_published += sum(n is not None for _, n in rows)
        files[f"{table}.csv"] = _csv(rows)
    if "outbound" in partner.tables:
        files[_CROSSINGS] = _crossings()
    manifest = _manifest(made, partner, why) | {
        "n_published": n_published,
        "n_hidden": n_hidden,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    files["manifest.json"] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return Release(partner, made.name, files, n_published, n_hidden)


def _is_for(key: Key, partner: Partner, groups: Groups) -> bool:
    """Whether a cell lies within a partner's destinations and states."""
    table, row, column = key
    if partner.states and table in {"corridors", "counties"}:
        own = row if table == "corridors" else _state_of(row)
        if own not in {*partner.states, TOTAL}:
            return False
    if not partner.destinations:
        return True
    if table == "classes":
        return row in partner.destinations
    southern = {*groups.markets, REST} if "mexico" in partner.destinations else set()
    return column in southern | set(partner.destinations)


def _state_of(row: str) -> str:
    """Return the state of a row of the counties: a county, ``rest of TX`` or ``all of TX``."""
    if " of " in row:
        return row[-2:]
    known = states().set_index("state_fips")["state"]
    return str(known.get(row[:2], ""))


def _csv(rows: Iterable[tuple[Key, int | None]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "column", "firearms", "status"))
    for (_, row, column), n in rows:
        writer.writerow(
            neutral_row(
                (row, column, "" if n is None else n, "hidden" if n is None else "published")
            )
        )
    return text.getvalue().encode()


def _crossings() -> bytes:
    """Which ports lead to each Mexican state: the corridors of ``outbound.csv`` by port."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("port_code", "port_name", "state", "mexico_state"))
    for row in ports().reset_index().itertuples(index=False):
        writer.writerow(neutral_row((row.port_code, row.port_name, row.state, row.mexico_state)))
    return text.getvalue().encode()


def _manifest(made: Published, partner: Partner, why: tuple[date, str]) -> Json:
    rules = asdict(made.rules)
    return {
        "for": partner.name,
        "partner": partner.label,
        "agreement": partner.agreement,
        "states": list(partner.states),
        "purpose": why[1],
        "quarter": made.name,
        "released_on": why[0].isoformat(),
        "rules": rules | {"starts_on": made.rules.starts_on.isoformat()},
        "warehouse": made.warehouse,
        "disclaimers": list(DISCLAIMERS),
        "attack": "linear programs over all published sums; no hidden cell is exactly recoverable",
    }
