"""Places on the map: the composite Albers projection of the shipped shapes, and the shapes.

Coordinates are tenths of a pixel of a 975 x 610 map, as in ``geo/atlas.json``: the lower 48 states,
with Alaska and Hawaii moved below them, as `d3.geoAlbersUsa` draws the same atlas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from features import reference
from features.arrays import Floats
from features.insight.flows.pictures import Ground

if TYPE_CHECKING:
    from pyproj import Transformer

Box = tuple[float, float, float, float]
WIDTH: Final = 9750.0
HEIGHT: Final = 6100.0
_ATLAS: Final = Path(__file__).parent / "geo" / "atlas.json"
_SCALE: Final = 13_000.0
_MIDDLE: Final = (4875.0, 3050.0)
_INSETS: Final = frozenset({"02", "15"})


@dataclass(frozen=True)
class Piece:
    """One conic of the composite.

    Parameters
    ----------
    parallels : (float, float)
    meridian : float
        Central meridian, degrees east.
    center : (float, float)
        Longitude and latitude of the point that lies at `at`.
    zoom : float
        Scale relative to the lower 48.
    at : (float, float)
        Where the center lies, as a share of the scale from the middle of the map.
    """

    parallels: tuple[float, float]
    meridian: float
    center: tuple[float, float]
    zoom: float = 1.0
    at: tuple[float, float] = (0.0, 0.0)

    def project(self, latitude: Floats, longitude: Floats) -> Floats:
        """Return x and y, shape (n, 2)."""
        conic = _conic(*self.parallels, self.meridian)
        x, y = conic.transform(longitude, latitude)
        x0, y0 = conic.transform(*self.center)
        scale = _SCALE * self.zoom
        return np.column_stack(
            (
                _MIDDLE[0] + _SCALE * self.at[0] + scale * (np.asarray(x) - x0),
                _MIDDLE[1] + _SCALE * self.at[1] - scale * (np.asarray(y) - y0),
            )
        )


@cache
def _conic(first: float, second: float, meridian: float) -> Transformer:
    from pyproj import Transformer  # slow to import

    return Transformer.from_pipeline(
        f"+proj=aea +lat_1={first} +lat_2={second} +lon_0={meridian} +R=1"
    )


LOWER_48: Final = Piece((29.5, 45.5), -96.0, (-96.6, 38.7))
ALASKA: Final = Piece((55.0, 65.0), -154.0, (-156.0, 58.5), 0.35, (-0.307, 0.201))
HAWAII: Final = Piece((8.0, 18.0), -157.0, (-160.0, 19.9), 1.0, (-0.205, 0.212))


def project(latitude: npt.ArrayLike, longitude: npt.ArrayLike) -> Floats:
    """Return where places lie on the map, shape (n, 2); NaN beyond the fifty states."""
    lat, lon = (
        np.atleast_1d(np.asarray(latitude, float)),
        np.atleast_1d(np.asarray(longitude, float)),
    )
    out = np.full((len(lat), 2), np.nan)
    is_alaska = (lat > 50) & ((lon < -129) | (lon > 170))
    is_hawaii = (lat > 18) & (lat < 23) & (lon < -154) & (lon > -161)
    is_lower = (lat > 24) & (lat < 50) & (lon > -125) & (lon < -66)
    for piece, mask in ((LOWER_48, is_lower), (ALASKA, is_alaska), (HAWAII, is_hawaii)):
        if mask.any():
            out[mask] = piece.project(lat[mask], lon[mask])
    return out


@dataclass(frozen=True)
class Shapes:
    """Paths and boxes of one kind of shape, by FIPS code."""

    paths: Mapping[str, str]
    boxes: Mapping[str, Box]

    def within(self, view: Box) -> list[str]:
        """Return the codes of the shapes whose box meets a view (x, y, width, height)."""
        x, y, width, height = view
        return [
            code
            for code, (x0, y0, x1, y1) in self.boxes.items()
            if x0 <= x + width and x1 >= x and y0 <= y + height and y1 >= y
        ]


@cache
def shapes(kind: str) -> Shapes:
    """Return the shapes of ``counties`` or ``states``."""
    paths = json.loads(_ATLAS.read_text(encoding="utf-8"))[kind]
    return Shapes(paths, {code: _box(path) for code, path in paths.items()})


def _box(path: str) -> Box:
    xs: list[int] = []
    ys: list[int] = []
    for ring in path.rstrip("z").split("z"):
        numbers = [int(n) for n in re.findall(r"-?\d+", ring)]
        xs += accumulate(numbers[0::2])
        ys += accumulate(numbers[1::2])
    return min(xs), min(ys), max(xs), max(ys)


@cache
def _border() -> Floats:
    line = reference.border_line("MX").simplify(0.01)
    longitude, latitude = np.array(line.coords).T
    return project(latitude, longitude)


def border_path(view: Box) -> str:
    """Return the part of the border with Mexico near a view as a path, empty when there is none."""
    x, y, width, height = view
    points = _border()
    is_near = (np.abs(points[:, 0] - x - width / 2) < width) & (
        np.abs(points[:, 1] - y - height / 2) < height
    )
    near = np.flatnonzero(is_near)
    return path_of(points[near[0] : near[-1] + 1]) if len(near) > 1 else ""


@cache
def flow_ground() -> Ground:
    """Return the lower 48 states with Mexico below them, in pixels, for a map of flows.

    Alaska, Hawaii and the territories are not on it: the insets of the atlas lie where Mexico does.
    """
    width, height = WIDTH / 10, 870.0
    states = shapes("states").paths
    outlines = "".join(
        f'<path d="{path}"/>' for code, path in sorted(states.items()) if code not in _INSETS
    )

    def at(latitude: float, longitude: float) -> tuple[float, float] | None:
        x, y = LOWER_48.project(np.array([latitude]), np.array([longitude]))[0] / 10
        is_on = 0 <= x <= width and 0 <= y <= height and longitude > -130
        return (float(x), float(y)) if is_on else None

    return Ground(width, height, f'<g class="states" transform="scale(.1)">{outlines}</g>', at)


def path_of(points: Floats) -> str:
    """Return a path through points."""
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points if np.isfinite(x))


def around(points: Floats, *, margin: float = 0.08, least: float = 250.0) -> Box:
    """Return the view (x, y, width, height) around points, in the proportions of the map."""
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return 0.0, 0.0, WIDTH, HEIGHT
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    width = max((x1 - x0) * (1 + 2 * margin), (y1 - y0) * (1 + 2 * margin) * WIDTH / HEIGHT, least)
    height = width * HEIGHT / WIDTH
    return (x0 + x1 - width) / 2, (y0 + y1 - height) / 2, width, height


def shrunk_means(size: npt.ArrayLike, total: npt.ArrayLike, values: Floats) -> Floats:
    """Return the mean of each county, drawn toward the mean of all where dealers are few.

    The empirical Bayes estimate: a county counts as if it had ``k`` more dealers of the overall
    mean, where ``k`` is the variance within counties over that between them. Without it five
    dealers lead every ranking of three thousand counties.

    Parameters
    ----------
    size, total : array, shape (n,)
        Number of dealers and sum of their values by county.
    values : array, shape (m,)
        The values of all dealers.
    """
    size, total = np.asarray(size, dtype=np.float64), np.asarray(total, dtype=np.float64)
    own, overall = total / size, float(values.mean())
    n, m = float(size.sum()), len(size)
    between_raw = float((size * (own - overall) ** 2).sum())
    within = max(float(((values - overall) ** 2).sum()) - between_raw, 0.0) / max(n - m, 1.0)
    spread = n - float((size**2).sum()) / n
    between = (between_raw - (m - 1) * within) / spread if spread > 0 else 0.0
    if between <= 0:
        return np.full(m, overall)
    k = within / between
    return np.asarray((total + k * overall) / (size + k))
