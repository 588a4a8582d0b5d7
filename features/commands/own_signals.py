"""What `signals --check` does: hold an agency's own family to the rules of all signals."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import duckdb
import numpy as np
import pandas as pd
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from features.domain import agency_day
from features.domain.asof import DAYS_A_YEAR
from features.engine.choice import chosen_engine, engine_named, require_engine
from features.engine.embedded import EmbeddedEngine
from features.engine.incremental import KeptEngine
from features.errors import LeakError, OwnSignalError
from features.home import home
from features.leakage import prove
from features.schema import TABLES
from features.signals.own.families import also, read_family
from features.signals.own.family import RESTRICTED, OwnFamily
from features.signals.signal import REASON_NAMES
from features.sql import literal, quoted
from features.table import FeatureTable, build_features, first_known_on
from features.warehouse import Warehouse

Tell = Callable[[str], object]
Outcome = Literal["holds", "fails", "not checked"]
FUTURE: Final = "nothing from the future"
_PIECES: Final = 3  # files that each table is cut into
_DEALERS, _YEARS = 400, 4  # of the country simulated where there is no warehouse


@dataclass(frozen=True)
class Property:
    """One rule and whether the family keeps it."""

    name: str
    outcome: Outcome
    found: str = ""


@dataclass(frozen=True)
class Checked:
    """The report on an own family."""

    family: OwnFamily
    place: str
    dates: Sequence[date]
    n_dealers: int
    observed: dict[str, dict[str, float]]
    properties: tuple[Property, ...]

    def as_json(self) -> str:
        """Return the report as JSON text."""
        told = {
            "family": self.family.name,
            "file": self.family.origin,
            "warehouse": self.place,
            "as_of": [str(when) for when in self.dates],
            "dealers": self.n_dealers,
            "signals": self.observed,
            "properties": [asdict(one) for one in self.properties],
        }
        return json.dumps(told, indent=1)

    def view(self) -> RenderableType:
        """Return the report for a terminal."""
        rules = Table(title="Rules of all signals", title_justify="left", box=SIMPLE)
        for name in ("rule", "outcome", "found"):
            rules.add_column(name)
        for one in self.properties:
            rules.add_row(one.name, one.outcome, one.found)
        seen = Table(title="Values", title_justify="left", box=SIMPLE, pad_edge=False)
        seen.add_column("signal", no_wrap=True)
        for name in (*REASON_NAMES, "different"):
            seen.add_column(name.replace("_", " "), justify="right")
        for signal, shares in self.observed.items():
            *parts, different = shares.values()
            seen.add_row(signal, *(f"{p:.1%}" if p else "" for p in parts), f"{different:,.0f}")
        dates = ", ".join(map(str, self.dates))
        head = Text(f"{self.n_dealers:,} rows of {self.place}, as of {dates}")
        return Group(head, seen, rules)

    def require(self) -> None:
        """Accept a family that keeps every rule that was checked.

        Raises
        ------
        LeakError
            When the future moves it.
        OwnSignalError
            When it breaks another rule.
        """
        broken = [one for one in self.properties if one.outcome == "fails"]
        if broken:
            kind = LeakError if broken[0].name == FUTURE else OwnSignalError
            raise kind(
                f"The family {self.family.name} breaks {len(broken)} of the rules of all signals.",
                found="; ".join(f"{one.name}: {one.found}" for one in broken),
                expected="values that only rows known before the date decide, however they lie",
                fix="read events by context.grids, and cut other queries by known_on",
            )


def check_family(
    path: Path,
    warehouse: Path | None,
    as_of: Sequence[date],
    tell: Tell,
    engine: str = "embedded",
) -> Checked:
    """Build the family that a file holds in every way in which it must give the same.

    Parameters
    ----------
    path : Path
        The file.
    warehouse : Path or None
        On whose rows.
    as_of : sequence of date
        Empty for the last day known and the same day of two years before.
    tell : callable
        Told of each step.
    engine : str
        ``spark`` to build it by Spark as well.
    """
    require_engine(engine)
    family = read_family(path)
    with also(family), _opened(warehouse, tell) as (opened, place):
        dates = sorted(as_of) or _dates(opened)
        table = _built(opened, family, dates)
        rules = [_future(opened, family, dates, tell)]
        others = list(_others(opened, family, dates, tell))
        if engine != "embedded":
            tell(f"the engine {engine}")
            with engine_named(engine), chosen_engine(opened) as other_engine:
                others.append((f"{engine} agrees", _built(opened, family, dates, other_engine)))
        for name, other in others:
            moved = differences(table, other)
            rules.append(Property(name, "fails" if moved else "holds", ", ".join(moved)))
        rules += [_oracle(opened, family, table), _public(opened, family, table)]
    return Checked(family, place, dates, len(table), _seen(table), tuple(rules))


@contextmanager
def _opened(path: Path | None, tell: Tell) -> Iterator[tuple[Warehouse, str]]:
    """Open the warehouse asked for, else that of the state folder, else an invented one."""
    given = path or home() / "warehouse"
    if path is not None or (given / "manifest.json").exists():
        yield Warehouse.open(given), str(given)
        return
    from features.ingest import ingest
    from features.simulation.country.options import Options
    from features.simulation.simulate import simulate

    with tempfile.TemporaryDirectory(prefix="ffl-risk-check-") as folder:
        tell("simulating a country")
        simulate(Options(dealers=_DEALERS, years=_YEARS), Path(folder, "country"))
        tell("reading it")
        ingest([Path(folder, "country")], Path(folder, "warehouse"))
        yield (
            Warehouse.open(Path(folder, "warehouse")),
            f"a simulated country of {_DEALERS} dealers",
        )


def _dates(warehouse: Warehouse) -> list[date]:
    """Return the day after the last row was known, and the same day a year and two before."""
    known = [t["max_known_on"] for t in warehouse.manifest["tables"].values() if t["rows"]]
    last = min(date.fromisoformat(max(known)) + timedelta(1), agency_day.today())
    first = first_known_on(warehouse)
    dates = [last - timedelta(DAYS_A_YEAR * n) for n in (2, 1, 0)]
    return [when for when in dates if when > first]


def _built(
    warehouse: Warehouse,
    family: OwnFamily,
    dates: Sequence[date],
    engine: EmbeddedEngine | None = None,
) -> FeatureTable:
    return build_features(warehouse, dates, families=[family.name], engine=engine)


def _future(warehouse: Warehouse, family: OwnFamily, dates: Sequence[date], tell: Tell) -> Property:
    _, moved = prove(
        warehouse, dates, build=lambda source, when: _built(source, family, [when]), tell=tell
    )
    found = sorted({f"{m.signal} as of {m.as_of} ({m.n_dealers:,} dealers)" for m in moved})
    return Property(FUTURE, "fails" if found else "holds", ", ".join(found[:3]))


def _others(
    warehouse: Warehouse, family: OwnFamily, dates: Sequence[date], tell: Tell
) -> Iterator[tuple[str, FeatureTable]]:
    """Yield the table built in other ways that must change nothing."""
    tell("rows in another order, in other files")
    with tempfile.TemporaryDirectory(prefix="ffl-risk-check-") as folder:
        yield "order and cut of files", _built(shuffled(warehouse, Path(folder)), family, dates)
    tell("blocks of another size")
    with EmbeddedEngine(warehouse, rows_per_block=200, dealers_per_block=7) as engine:
        yield "size of blocks", _built(warehouse, family, dates, engine)
    tell("each date alone")
    alone = [_built(warehouse, family, [when]) for when in dates]
    yield "dates together as each alone", _joined(alone)
    tell("the engine that keeps its grids")
    with KeptEngine(warehouse) as engine:
        _built(warehouse, family, dates, engine)
        yield "engines agree", _built(warehouse, family, dates, engine)


def _joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    frame = pd.concat([t.frame for t in tables], ignore_index=True)
    reasons = pd.concat([t.reasons for t in tables], ignore_index=True)
    return FeatureTable(frame, reasons, tables[0].signals, tables[0].variant, "", "")


def shuffled(warehouse: Warehouse, folder: Path) -> Warehouse:
    """Write a copy of `warehouse` with its rows in another order and in several files."""
    manifest: dict[str, Any] = copy.deepcopy(dict(warehouse.manifest))
    with duckdb.connect(config={"temp_directory": str(folder)}) as con:
        for name in TABLES:
            if not warehouse.has(name):
                continue
            mixed = f"hash({', '.join(map(quoted, TABLES[name].key))}, known_on, superseded_on)"
            files = []
            for piece in range(_PIECES):
                path = folder / f"{name}-{piece}.parquet"
                con.execute(
                    f"COPY (SELECT * FROM {warehouse.scan(name)} WHERE {mixed} % {_PIECES} = "
                    f"{piece} ORDER BY {mixed}) TO {literal(str(path))} (FORMAT parquet)"
                )
                n, first, last = con.execute(
                    "SELECT count(*), min(known_on), max(known_on) FROM "
                    f"read_parquet({literal(str(path))})"
                ).fetchone()
                if n:
                    days = {"min_known_on": str(first), "max_known_on": str(last)}
                    files.append(
                        {"path": path.name, "n_rows": n, "n_superseded": n, "sha256": "", **days}
                    )
            manifest["tables"][name] |= {"files": files}
    return Warehouse(folder, manifest)


def differences(table: FeatureTable, other: FeatureTable, names: Sequence[str] = ()) -> list[str]:
    """Return the signals of which a value or a reason is another one."""
    same = np.array_equal(
        table.frame[["dealer", "as_of"]].to_numpy(object),
        other.frame[["dealer", "as_of"]].to_numpy(object),
    )
    if not same:
        return ["(dealers)"]
    return [
        name
        for name in (names or [s.name for s in table.signals])
        if not np.array_equal(
            table.frame[name].to_numpy(), other.frame[name].to_numpy(), equal_nan=True
        )
        or not np.array_equal(table.reasons[name].to_numpy(), other.reasons[name].to_numpy())
    ]


def _oracle(warehouse: Warehouse, family: OwnFamily, table: FeatureTable) -> Property:
    """Compare with the family's own slow version, where it brings one."""
    name = "an independent oracle agrees"
    if family.oracle is None:
        return Property(name, "not checked", "the file has no oracle(tables, as_of, dealers)")
    with duckdb.connect() as con:
        tables = {
            t: con.execute(f"SELECT * FROM {warehouse.scan(t)}").df()
            for t in TABLES
            if warehouse.has(t)
        }
    wrong = set()
    for when in sorted(set(table.frame["as_of"])):
        mine = table.frame[table.frame["as_of"] == when].set_index("dealer")
        expected = family.oracle(tables, when.date(), list(mine.index)).reindex(mine.index)
        for signal in family.SIGNALS:
            a, b = (f[signal.name].to_numpy(np.float64) for f in (mine, expected))
            if not np.allclose(a, b, rtol=2e-5, atol=1e-5, equal_nan=True):
                wrong.add(signal.name)
    return Property(name, "fails" if wrong else "holds", ", ".join(sorted(wrong)))


def _public(warehouse: Warehouse, family: OwnFamily, table: FeatureTable) -> Property:
    """Take restricted tables away, which a public signal must not feel."""
    name = "public signals read nothing restricted"
    names = [s.name for s in family.SIGNALS if s.restriction == "public"]
    if not names:
        return Property(name, "not checked", "every signal is restricted")
    manifest: dict[str, Any] = copy.deepcopy(dict(warehouse.manifest))
    for one in RESTRICTED & manifest["tables"].keys():
        del manifest["tables"][one]
    pairs = table.frame[["dealer", "as_of"]]
    without = build_features(
        Warehouse(warehouse.path, manifest), families=[family.name], cohort=pairs
    )
    moved = differences(table, without, names)
    return Property(name, "fails" if moved else "holds", ", ".join(moved))


def _seen(table: FeatureTable) -> dict[str, dict[str, float]]:
    """Share of each reason, and how many different values there are, by signal."""
    return {
        s.name: {
            reason: float((table.reasons[s.name] == code).mean())
            for code, reason in enumerate(REASON_NAMES)
        }
        | {"different": float(table.frame[s.name].nunique())}
        for s in table.signals
    }
