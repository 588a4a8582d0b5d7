"""Holds a simulated country to the published figures of ``targets.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from features.errors import FeatureError
from features.openjson import Json
from features.simulation.country.options import Options
from features.simulation.targets import figures, figures_inspections
from features.simulation.targets.figures import Country, Measured

_ERRORS = 3.0  # standard errors of sampling allowed beside the tolerance


class OutOfToleranceError(FeatureError):
    """A simulated country that misses a published figure."""

    exit_code = 5


@dataclass(frozen=True)
class CheckedFigure:
    """One published figure and what the country gives.

    Parameters
    ----------
    name, point, text : str, int, str
        Short name, the point of the specification that asks for it, and what it is.
    target, simulated : float
        The published and the simulated figure.
    tolerance : float
        Allowed difference: that of the published figure and three standard errors of sampling.
    source : str
        Where the published figure comes from.
    """

    name: str
    point: int
    text: str
    target: float
    simulated: float
    tolerance: float
    source: str

    @property
    def is_within(self) -> bool:
        """Whether the country is within tolerance."""
        return isfinite(self.simulated) and abs(self.simulated - self.target) <= self.tolerance

    def as_dict(self) -> Json:
        """Return the figure for JSON."""
        return asdict(self) | {"is_within": self.is_within}


def targets() -> dict[str, Json]:
    """Return the published figures by name."""
    path = Path(__file__).parent / "targets.toml"
    figures: dict[str, dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["figure"]
    return figures


def check_country(folder: Path, options: Options) -> list[CheckedFigure]:
    """Measure a country and hold it to the published figures.

    A figure of a year that the history does not hold is left out.
    """
    country = Country(folder, options)
    measured: Measured = {}
    for measure in (
        figures.licenses,
        figures.sales,
        figures.traces,
        figures.mexico,
        figures_inspections.inspections,
        figures_inspections.citations,
        figures_inspections.causes,
    ):
        measured |= measure(country)
    return [
        CheckedFigure(
            name,
            entry["point"],
            entry["text"],
            float(entry["target"]),
            float(measured[name][0]),
            float(entry["tolerance"] + _ERRORS * measured[name][1]),
            entry["source"],
        )
        for name, entry in targets().items()
        if name in measured
    ]


def check_view(figures: list[CheckedFigure]) -> Table:
    """Return the table of targets and simulated figures for a terminal."""
    grid = Table(title="Published and simulated", title_justify="left", box=SIMPLE)
    for name in ("point", "figure"):
        grid.add_column(name)
    for name in ("target", "simulated", "tolerance"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("source")
    for f in figures:
        style = "" if f.is_within else "bold red"
        numbers = (f"{x:,.4g}" for x in (f.target, f.simulated, f.tolerance))
        grid.add_row(str(f.point), f.text, *numbers, f.source, style=style)
    return grid


def require_within(figures: list[CheckedFigure]) -> None:
    """Refuse a country with a figure out of tolerance.

    Raises
    ------
    OutOfToleranceError
        Naming the figures.
    """
    missed = [f for f in figures if not f.is_within]
    if missed:
        raise OutOfToleranceError(
            f"{len(missed)} of {len(figures)} figures are out of tolerance.",
            found="; ".join(f"{f.name} {f.simulated:.4g}" for f in missed),
            expected="; ".join(f"{f.target:.4g} ± {f.tolerance:.2g}" for f in missed),
            fix="mend the generator, never the target",
        )
