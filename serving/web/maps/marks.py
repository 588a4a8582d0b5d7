"""What stands on the map beside counties and dealers: offices, ports, border, hubs, frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Final, TypedDict

import numpy as np

from features import reference
from features.arrays import Ints
from serving.planning.start import Start
from serving.scores.visible_dealers import View
from serving.scores.words.area_names import county_label, office_label
from serving.web import atlas
from serving.web.atlas import Box

BORDER_KM: Final = 100.0
# An inland hub: a county beyond the border stratum whose dealers sold that many firearms recovered
# in Mexico in three years; at most so many are shown, those with most first.
LEAST_RECOVERED: Final = 10
MOST_HUBS: Final = 12
_RECOVERED: Final = "southbound_traces_3y"


class Mark(TypedDict):
    """A sign on the map: where, how large, and what it says."""

    x: float
    y: float
    s: float
    name: str


class Hub(Mark):
    """An inland hub: a county with what was recovered in Mexico, and its dealers."""

    code: str
    n: int
    size: int


def ports(box: Box) -> list[Mark]:
    """Return the land ports of entry from Mexico in view."""
    known = reference.ports()
    size = box[2] / 190
    return [
        {"x": round(x, 1), "y": round(y, 1), "s": round(size, 1), "name": name}
        for (x, y), name in zip(
            atlas.project(known["lat"], known["lon"]), known["port_name"], strict=True
        )
        if _is_inside(x, y, box)
    ]


def offices(names: Collection[str], box: Box, *, stated: Mapping[str, Start]) -> list[Mark]:
    """Return the offices in view: at their stated address, else amid what they are named after."""
    seats = reference.office_seats()
    places = {
        name: (float(seats["lat"][name]), float(seats["lon"][name]))
        for name in names
        if name in seats.index
    }
    places |= {name: (stated[name].latitude, stated[name].longitude) for name in stated}
    known = sorted(places.keys() & set(names))
    size = box[2] / 200
    xy = atlas.project(
        np.array([places[name][0] for name in known]), np.array([places[name][1] for name in known])
    )
    return [
        {"x": round(x, 1), "y": round(y, 1), "s": round(size, 1), "name": office_label(name)}
        for (x, y), name in zip(xy, known, strict=True)
        if _is_inside(x, y, box)
    ]


def _is_inside(x: float, y: float, box: Box) -> bool:
    return box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]


def stratum(box: Box, *, codes: set[str]) -> list[str]:
    """Return the outlines of the counties within 100 km of Mexico, the border stratum."""
    near = _near_border()
    shapes = atlas.shapes("counties")
    inside = set(shapes.within(box))
    return [shapes.paths[c] for c in near if c in inside and str(c)[:2] in codes]


@cache
def _near_border() -> tuple[str, ...]:
    counties = reference.counties().dropna(subset=["lat", "lon"])
    km = reference.km_to_mexico_line(counties["lat"].to_numpy(), counties["lon"].to_numpy())
    return tuple(counties.index[np.asarray(km) <= BORDER_KM])


def frames(box: Box, *, codes: set[str]) -> list[dict[str, float | str]]:
    """Return frames around Alaska and Hawaii, which are drawn where they do not lie."""
    shapes = atlas.shapes("states")
    out: list[dict[str, float | str]] = []
    for code, name in (("02", "Alaska"), ("15", "Hawaii")):
        if code in codes and code in shapes.boxes and code in shapes.within(box):
            x0, y0, x1, y1 = shapes.boxes[code]
            pad = 20.0
            out.append(
                {"x": round(x0 - pad, 1), "y": round(y0 - pad, 1), "w": round(x1 - x0 + 2 * pad, 1),
                 "h": round(y1 - y0 + 2 * pad, 1), "name": name}
            )  # fmt: skip
    return out


def hubs(view: View, rows: Ints, box: Box) -> list[Hub]:
    """Return the inland hubs in view among the counties of some dealers.

    Parameters
    ----------
    rows : array of int
        Of the snapshot: the dealers that the map shows.
    """
    snapshot = view.snapshot
    names = [signal["name"] for signal in snapshot.bundle.signals]
    if _RECOVERED not in names or not len(rows):
        return []
    recovered = np.nan_to_num(snapshot.inputs[rows, names.index(_RECOVERED)].astype(np.float64))
    codes, fips = snapshot.codes("county")
    total = np.bincount(codes[rows], recovered, minlength=len(fips))
    size = np.bincount(codes[rows], minlength=len(fips))
    border = set(_near_border())
    counties = reference.counties()
    side = box[2] / 130
    out: list[Hub] = []
    for place in np.argsort(-total, kind="stable").tolist():
        code = str(fips[place])
        if total[place] < LEAST_RECOVERED or len(out) == MOST_HUBS:
            break
        if code in border or code not in counties.index:
            continue
        ((x, y),) = atlas.project(counties["lat"][[code]], counties["lon"][[code]])
        if _is_inside(x, y, box):
            out.append(
                {"x": round(x, 1), "y": round(y, 1), "s": round(side, 1), "code": code,
                 "name": county_label(code), "n": int(total[place]), "size": int(size[place])}
            )  # fmt: skip
    return out
