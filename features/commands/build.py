"""What the command `features` does: read a request, build the table or prove it, report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from features.engine.choice import engine_named, require_engine
from features.errors import AsOfError, FeatureError, LeakError
from features.home import home
from features.leakage import COPIES, Moved, prove
from features.openjson import Json
from features.signals.signal import REASON_NAMES
from features.table import FeatureTable, Variant, available, build_features
from features.warehouse import Warehouse

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, as written there."""

    warehouse: Path | None
    as_of: tuple[str, ...]
    variant: str
    families: tuple[str, ...] | None
    engine: str
    out: Path | None

    def open(self) -> Warehouse:
        """Open the warehouse asked for, or the one of the state folder."""
        return Warehouse.open(self.warehouse or home() / "warehouse")

    def dates(self, warehouse: Warehouse) -> list[date]:
        """Read the dates.

        Raises
        ------
        AsOfError
            When none is given or one is no date; the message says which the data can answer for.
        """
        expected = f"YYYY-MM-DD, {available(warehouse)}"
        if not self.as_of:
            raise AsOfError("No as-of date was given.", expected=expected, fix="add --as-of")
        read = []
        for text in self.as_of:
            try:
                read.append(date.fromisoformat(text))
            except ValueError:
                raise AsOfError(f"{text!r} is not a date.", expected=expected) from None
        return sorted(set(read))


@dataclass(frozen=True)
class Built:
    """The report on a feature table."""

    table: FeatureTable
    seconds: float
    out: Path | None

    def as_dict(self) -> Json:
        """Return the report as JSON objects."""
        as_of, n = np.unique(self.table.frame["as_of"].dt.strftime("%Y-%m-%d"), return_counts=True)
        return {
            "variant": self.table.variant,
            "fingerprint": self.table.fingerprint,
            "warehouse_fingerprint": self.table.warehouse_fingerprint,
            "dealers": dict(zip(as_of.tolist(), n.tolist(), strict=True)),
            "seconds": round(self.seconds, 2),
            "folder": str(self.out) if self.out else None,
            "signals": {
                s.name: {
                    reason: float((self.table.reasons[s.name] == code).mean())
                    for code, reason in enumerate(REASON_NAMES)
                }
                for s in self.table.signals
            },
        }

    def as_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.as_dict(), indent=1)

    def view(self) -> RenderableType:
        """Return the report for a terminal."""
        told = self.as_dict()
        grid = Table(title="Signals", title_justify="left", box=SIMPLE, pad_edge=False)
        grid.add_column("signal", no_wrap=True)
        for name in REASON_NAMES:
            grid.add_column(name.replace("_", " "), justify="right")
        for name, shares in told["signals"].items():
            grid.add_row(name, *(f"{share:.1%}" if share else "" for share in shares.values()))
        lines = [Text(f"{when}: {n:,} dealers") for when, n in told["dealers"].items()]
        lines.append(Text(f"built in {self.seconds:.1f} s; fingerprint {self.table.fingerprint}"))
        if self.out:
            lines.append(Text(f"written to {self.out}"))
        return Group(grid, *lines)

    def require(self) -> None:
        """Accept any table."""


def build(request: Request, tell: Tell) -> Built:
    """Build the table asked for, and write it when a folder was named."""
    warehouse = request.open()
    dates = request.dates(warehouse)
    require_engine(request.engine)
    if request.out and request.out.is_file():
        raise FeatureError(f"{request.out} is a file.", expected="a folder", fix="name another")
    began = time.perf_counter()

    def progress(family: str, done: int, total: int) -> None:
        tell(f"{family} ({done} of {total} families)")

    table = _table(request, warehouse, dates, progress)
    if request.out:
        table.save(request.out)
    return Built(table, time.perf_counter() - began, request.out)


def _table(
    request: Request, warehouse: Warehouse, dates: list[date], progress: Callable[..., None]
) -> FeatureTable:
    options: dict[str, Any] = {
        "variant": cast("Variant", request.variant),
        "families": request.families,
        "progress": progress,
    }
    with engine_named(request.engine):
        return build_features(warehouse, dates, **options)


@dataclass(frozen=True)
class Proof:
    """The report on what the future moves."""

    table: FeatureTable
    dates: list[date]
    moved: list[Moved]
    seconds: float

    def as_json(self) -> str:
        """Return the report as JSON text."""
        told = {
            "as_of": [str(when) for when in self.dates],
            "signals": len(self.table.signals),
            "dealers": len(self.table),
            "compared_with": list(COPIES),
            "moved": [{**asdict(m), "as_of": str(m.as_of)} for m in self.moved],
            "seconds": round(self.seconds, 2),
        }
        return json.dumps(told, indent=1)

    def view(self) -> RenderableType:
        """Return the report for a terminal."""
        lines: list[RenderableType] = []
        if self.moved:
            grid = Table(title="Moved by the future", title_justify="left", box=SIMPLE)
            for name in ("signal", "as of", "when", "dealers", "for example"):
                grid.add_column(name)
            for m in self.moved:
                grid.add_row(m.signal, str(m.as_of), m.copy, f"{m.n_dealers:,}", m.dealer)
            lines.append(grid)
        n = len(self.table.signals) * len(self.dates)
        lines.append(
            Text(
                f"{n:,} signals as of {len(self.dates)} dates, compared bit for bit with "
                f"{' and with '.join(COPIES)}: {len(self.moved):,} moved ({self.seconds:.1f} s)"
            )
        )
        return Group(*lines)

    def require(self) -> None:
        """Accept a proof in which nothing moved.

        Raises
        ------
        LeakError
            When a signal moved.
        """
        if self.moved:
            names = sorted({m.signal for m in self.moved})
            raise LeakError(
                f"{len(names)} signals read the future.",
                found=", ".join(names),
                expected="values that only rows known before the date decide",
                fix="do not train on these signals; correct their family",
            )


def prove_nothing_leaks(request: Request, tell: Tell) -> Proof:
    """Build the table asked for on the warehouse and on copies with another future."""
    warehouse = request.open()
    dates = request.dates(warehouse)
    began = time.perf_counter()

    def one(source: Warehouse, when: date) -> FeatureTable:
        return build_features(
            source, when, variant=cast("Variant", request.variant), families=request.families
        )

    table, moved = prove(warehouse, dates, build=one, tell=tell)
    return Proof(table, dates, moved, time.perf_counter() - began)
