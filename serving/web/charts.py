"""Geometry of the charts: plain numbers that the templates draw as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from features.arrays import Floats
from features.domain.number_words import counted


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One line of a chart: its points as SVG has them, and dots where they matter."""

    name: str
    style: str
    points: str
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class LineChart:
    """A chart of lines over two axes, in a box of 560 x 300."""

    id: str
    heading: str
    title: str
    help: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    width: int = 560
    height: int = 300
    left: int = 64
    right: int = 548
    top: int = 12
    bottom: int = 250


@dataclass(frozen=True)
class Axes:
    """The range of both axes of a chart.

    Parameters
    ----------
    x, y : (float, float)
        Least and greatest value; the least is drawn at the left or the bottom.
    """

    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    left: float = 64.0
    right: float = 548.0
    top: float = 12.0
    bottom: float = 250.0

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies in the box."""
        across = (x - self.x[0]) / max(self.x[1] - self.x[0], 1e-12)
        up = (y - self.y[0]) / max(self.y[1] - self.y[0], 1e-12)
        return (
            round(self.left + across * (self.right - self.left), 1),
            round(self.bottom - up * (self.bottom - self.top), 1),
        )

    def line(
        self, name: str, style: str, *, x: Sequence[float], y: Sequence[float],
        has_dots: bool = False,
    ) -> Line:  # fmt: skip
        """Return a line through points."""
        places = [self.place(a, b) for a, b in zip(x, y, strict=True)]
        points = " ".join(f"{a},{b}" for a, b in places)
        return Line(name, style, points, tuple(places) if has_dots else ())

    def x_ticks(self, values: Sequence[float], form: str = "{:.0%}") -> tuple[Tick, ...]:
        """Return marks along the bottom."""
        return tuple(Tick(self.place(v, self.y[0])[0], form.format(v)) for v in values)

    def y_ticks(self, values: Sequence[float], form: str = "{:.0%}") -> tuple[Tick, ...]:
        """Return marks along the side."""
        return tuple(Tick(self.place(self.x[0], v)[1], form.format(v)) for v in values)


def nice_steps(highest: float, n: int = 5) -> list[float]:
    """Return round values from 0 to at least `highest`.

    >>> nice_steps(0.34)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    if not highest > 0:
        return [0.0, 1.0]
    raw = highest / n
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(float(m * power) for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    return [round(step * i, 10) for i in range(int(np.ceil(highest / step - 1e-9)) + 1)]


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    is_here: bool


@dataclass(frozen=True)
class Peers:
    """Where one value stands among others, as a histogram in a box of 640 x 130."""

    n: int
    bars: tuple[Bar, ...]
    here: float
    anchor: str
    text: str


def peers(values: Floats, here: float, *, n_bars: int = 40) -> Peers:
    """Return the histogram of `values` with the place of `here`.

    Parameters
    ----------
    values : array, shape (n,)
        At least one value; the place of `here` is counted among them.
    here : float
    """
    low, high = float(min(values.min(), here)), float(max(values.max(), here))
    high = high if high > low else low + 1.0
    counts, _ = np.histogram(values, bins=n_bars, range=(low, high))
    step = 620.0 / n_bars
    at = min(int((here - low) / (high - low) * n_bars), n_bars - 1)
    bars = tuple(
        Bar(
            round(10 + i * step, 1),
            round(100 - 82 * count / max(counts.max(), 1), 1),
            round(step - 1.5, 1),
            round(82 * count / max(counts.max(), 1), 1),
            i == at,
        )
        for i, count in enumerate(counts)
    )
    below = math.floor(100 * float((values < here).mean()))
    place = round(10 + 620 * (here - low) / (high - low), 1)
    anchor = "start" if place < 60 else "end" if place > 580 else "middle"
    text = "It is the only dealer of its license type."
    if len(values) > 1:
        among = f"Among {counted(len(values), 'dealer')} of the same license type"
        text = f"{among}, {below}% have a lower priority than this one."
    return Peers(len(values), bars, place, anchor, text)


@dataclass(frozen=True)
class Family:
    """The contributions of one family of signals, the small ones together."""

    name: str
    total: float
    signals: tuple[Mapping[str, Any], ...] = field(default=())
    n_small: int = 0
    small: float = 0.0


def families(explanation: Mapping[str, Any], *, least: float = 0.005) -> tuple[list[Family], float]:
    """Return the families, the strongest first, and the scale of their bars.

    Signals that move the priority by less than `least` are put together, so that what a family
    shows adds up to its total.
    """
    out = []
    for name, total in explanation["by_family"].items():
        own = [item for item in explanation["contributions"] if item["family"] == name]
        shown = tuple(item for item in own if abs(item["contribution"]) >= least)
        small = float(total) - sum(item["contribution"] for item in shown)
        out.append(Family(name, float(total), shown, len(own) - len(shown), small))
    out.sort(key=lambda family: -abs(family.total))
    most = max((abs(family.total) for family in out), default=1.0)
    return out, 96.0 / max(most, 1e-9)
