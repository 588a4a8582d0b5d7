"""The map: counties shaded, dealers as circles, everything a link, all drawn on the server."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor
from typing import Annotated, Any, Final, TypedDict
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from features import reference
from features.arrays import Floats
from serving.access.audit.writer import subjects
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.planning.start import stated_starts
from serving.scores.visible_dealers import View
from serving.web import atlas
from serving.web.atlas import Box, shrunk_means
from serving.web.lists.pages import license_types
from serving.web.maps import marks
from serving.web.rendering import page
from serving.web.sign_in.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# Percentile classes where circles are shown: counties and circles share them, and one legend.
_CUTS: Final = (40.0, 50.0, 60.0, 75.0)
_CELLS: Final = 34  # circles side by side at the most
# More dealers than this in view are shown by county only: circles would hide the shades.
_MOST_DEALERS: Final = 400
_LEAST_WIDTH: Final = 60.0
_MOST_COUNTIES: Final = 25
_MOVED_STATES: Final = frozenset({"02", "15"})
_NEAR: Final = 4_000.0
_LEVEL: Final = 0.05  # percentile points
_STEPS: Final = 10_000  # of a degree: some 11 meters
_ONE_PLACE: Final = 0.002  # degrees: dealers at one address, or placed at one ZIP center


Edges = tuple[float, float, float, float]  # west, south, east, north


class Ask(BaseModel):
    """What of the map is asked for."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    state: str = Field(default="", pattern=r"^([A-Z]{2})?$")
    type: str = Field(default="", pattern=r"^(\d{2})?$")
    top: str = Field(default="0", pattern=r"^(0|1|10)$")
    x: float | None = Field(default=None, ge=-20_000, le=30_000)
    y: float | None = Field(default=None, ge=-20_000, le=30_000)
    w: float | None = Field(default=None, gt=0, le=20_000)

    def url(self, view: Box | None = None, **changes: Any) -> str:
        """Return the address of this map, perhaps of another part of it."""
        if view is not None:
            changes |= {"x": round(view[0], 1), "y": round(view[1], 1), "w": round(view[2], 1)}
        # Hundreds of circles are links: a validated copy for each would cost more than the map.
        fields = {**self.__dict__, **changes}
        # Patterns and numbers: nothing in them needs quoting.
        changed = "&".join(f"{name}={v}" for name, v in fields.items() if v != _DEFAULTS[name])
        return f"/map?{changed}" if changed else "/map"


_DEFAULTS: Final = {name: field.default for name, field in Ask.model_fields.items()}


@dataclass(frozen=True)
class Points:
    """The dealers on the map.

    Parameters
    ----------
    row : array of int, shape (n,)
        Rows of the snapshot.
    xy : array, shape (n, 2)
    percentile : array, shape (n,)
        Priority percentile within what the caller sees, 0 to 100.
    """

    row: Any
    xy: Floats
    percentile: Floats

    def within(self, view: Box) -> Points:
        """Return those inside a view."""
        x, y, width, height = view
        inside = (self.xy[:, 0] >= x) & (self.xy[:, 0] <= x + width)
        inside &= (self.xy[:, 1] >= y) & (self.xy[:, 1] <= y + height)
        return replace(
            self, row=self.row[inside], xy=self.xy[inside], percentile=self.percentile[inside]
        )


@dataclass
class _Kept:
    """The places projected last, with the latitudes and longitudes that they are of."""

    of: tuple[Floats, Floats, Floats] | None = None


_kept = _Kept()


@router.get("/map")
async def show(
    request: Request,
    ask: Annotated[Ask, Query()],
    caller: Annotated[Caller, Depends(may("dealers"))],
) -> Response:
    """Show the caller's dealers on a map."""
    purpose = caller.purpose()
    answer, named = await asyncio.to_thread(_show, request, caller, ask)
    await caller.record(f"map {ask.state or 'own area'} {named}".strip(), purpose=purpose)
    return answer


def _show(request: Request, caller: Caller, ask: Ask) -> tuple[Response, str]:
    """Return the page, and the dealers that it names."""
    view = caller.scope.view
    points, n_unplaced = _points(caller, ask)
    whole = atlas.around(points.xy)
    box = whole if ask.w is None or ask.x is None or ask.y is None else _box(ask)
    seen = points.within(box)
    known = reference.states()
    states = dict(zip(known["state"], known["name"], strict=True))
    title = states.get(ask.state, "Your area")
    counties = _counties(view, points)
    is_by_county = len(seen.row) > _MOST_DEALERS
    cuts = _cuts_for(counties) if is_by_county else _CUTS
    drawing = {
        "title": title,
        "state": ask.state,
        "view": [round(part, 1) for part in box],
        "counties": _county_paths(counties, box, ask, cuts=cuts, codes=_states_of(view, points)),
        "states": _state_paths(box, codes=_states_of(view, points)),
        "border": atlas.border_path(box),
        "spots": _spots(view, seen, box, ask) if not is_by_county else [],
        "is_by_county": is_by_county,
        "is_level": _is_level(counties),
        "stratum": marks.stratum(box, codes=_states_of(view, points)),
        "frames": marks.frames(box, codes=_states_of(view, points)),
        "dealers_url": _dealers_url(_edges(view, seen), ask) if len(seen.row) else "",
        "ports": marks.ports(box),
        "offices": marks.offices(
            _names(view, "office", points.row),
            box,
            stated=stated_starts(caller.runtime.settings.home),
        ),
        "hubs": marks.hubs(view, points.row, box),
        "least_recovered": marks.LEAST_RECOVERED,
        "table": _county_table(counties, ask),
        "n_counties": len(counties),
        "n": len(seen.row),
        "n_unplaced": n_unplaced,
        "legend": _legend(cuts),
        "in_url": ask.url(_zoomed(box, 0.5)),
        "out_url": ask.url(_zoomed(box, 2.0)),
        "up_url": ask.url(x=None, y=None, w=None) if ask.w is not None else "",
        "list_url": _list_url(view, seen, ask, is_whole=ask.w is None),
    }
    own_states = _names(view, "state", np.flatnonzero(caller.scope.own))
    answer = page(
        request, "map.html", title="Map", active="map", me=caller.principal, map=drawing, ask=ask,
        states=[(code, states[code]) for code in own_states if code in states],
        license_types=license_types(), can_issue=caller.principal.role in ACCESS["rank"],
    )  # fmt: skip
    return answer, subjects(spot["dealer"] for spot in drawing["spots"] if "dealer" in spot)


def _points(caller: Caller, ask: Ask) -> tuple[Points, int]:
    view = caller.scope.view
    columns = view.snapshot.columns
    mask = view.is_visible & caller.scope.own
    if ask.state:
        mask = mask & (columns["state"] == ask.state)
    if ask.type:
        mask = mask & (columns["license_type"] == ask.type)
    row = np.flatnonzero(mask)
    percentile = view.percentiles[row]
    if ask.top != "0":
        keep = percentile >= 100.0 - float(ask.top)
        row, percentile = row[keep], percentile[keep]
    xy = _projected(columns["latitude"], columns["longitude"])[row]
    has_place = np.isfinite(xy).all(axis=1)
    points = Points(row[has_place], xy[has_place], percentile[has_place])
    return points, int((~has_place).sum())


def _projected(latitude: Floats, longitude: Floats) -> Floats:
    """Return where all dealers lie on the map, kept for as long as they lie there.

    A snapshot that changes scores keeps the arrays of its places, so their identity is the key.
    """
    if _kept.of is None or _kept.of[0] is not latitude or _kept.of[1] is not longitude:
        _kept.of = (latitude, longitude, atlas.project(latitude, longitude))
    return _kept.of[2]


def _names(view: View, column: str, rows: Any) -> list[str]:
    """Return the names that a place column has in some rows, sorted."""
    codes, names = view.snapshot.codes(column)
    here = np.flatnonzero(np.bincount(codes[rows], minlength=len(names)))
    return sorted(str(name) for name in names[here])


def _box(ask: Ask) -> Box:
    width = max(float(ask.w or atlas.WIDTH), _LEAST_WIDTH)
    return float(ask.x or 0), float(ask.y or 0), width, width * atlas.HEIGHT / atlas.WIDTH


def _zoomed(box: Box, factor: float) -> Box:
    x, y, width, height = box
    new = min(max(width * factor, _LEAST_WIDTH), atlas.WIDTH * 1.1)
    grown = new / width
    return x + width * (1 - grown) / 2, y + height * (1 - grown) / 2, new, height * grown


def _class(percentile: float) -> int:
    return 1 + bisect_right(_CUTS, percentile)


def _counties(view: View, points: Points) -> pd.DataFrame:
    """Return the number of dealers and their mean percentile by county."""
    names = reference.counties()[["county_name", "state"]]
    if not len(points.row):
        return pd.DataFrame({"size": [], "mean": [], "county_name": [], "state": []})
    codes, fips = view.snapshot.codes("county")
    code = codes[points.row]
    size = np.bincount(code, minlength=len(fips))
    total = np.bincount(code, points.percentile, minlength=len(fips))
    here = np.flatnonzero(size)
    grouped = pd.DataFrame(
        {"size": size[here], "mean": shrunk_means(size[here], total[here], points.percentile)},
        index=fips[here],
    ).sort_index()
    return grouped.join(names, how="inner")


def _states_of(view: View, points: Points) -> set[str]:
    states = reference.states().set_index("state")["state_fips"]
    here = _names(view, "state", points.row)
    return {str(states[code]) for code in here if code in states.index}


def _state_paths(box: Box, *, codes: set[str]) -> list[str]:
    """Return the outlines; Alaska and Hawaii lie where Mexico is and stay out if not asked for."""
    shapes = atlas.shapes("states")
    return [
        shapes.paths[code]
        for code in shapes.within(box)
        if code in codes or code not in _MOVED_STATES
    ]


def _cuts_for(counties: pd.DataFrame) -> tuple[float, ...]:
    """Return whole percentiles that part the counties into up to five classes of alike size."""
    if counties.empty:
        return _CUTS
    fifths = np.quantile(counties["mean"].to_numpy(), (0.2, 0.4, 0.6, 0.8))
    return tuple(sorted({float(round(cut)) for cut in fifths}))


def _is_level(counties: pd.DataFrame) -> bool:
    """Whether all counties have one mean: between them is no more than chance would make."""
    return len(counties) > 1 and float(np.ptp(counties["mean"].to_numpy())) < _LEVEL


def _legend(cuts: Sequence[float]) -> list[str]:
    """Return the classes of a scale in words.

    >>> _legend((40.0, 50.0))
    ['percentile below 40', 'percentile 40 to 50', 'percentile 50 and above']
    """
    inner = [f"percentile {low:.0f} to {high:.0f}" for low, high in pairwise(cuts)]
    return [f"percentile below {cuts[0]:.0f}", *inner, f"percentile {cuts[-1]:.0f} and above"]


def _county_paths(
    counties: pd.DataFrame, box: Box, ask: Ask, *, cuts: Sequence[float], codes: set[str]
) -> list[tuple[int, list[dict[str, str]]]]:
    """Return the counties by class; from near, each says its figures."""
    shapes = atlas.shapes("counties")
    is_near = box[2] < _NEAR
    known = counties
    classes = 1 + np.searchsorted(cuts, known["mean"].to_numpy(), side="right")
    class_of = dict(zip(known.index, classes.tolist(), strict=True))
    titles = {}
    if is_near:
        facts = zip(known.index, known["county_name"], known["size"], known["mean"], strict=True)
        titles = {
            code: f"{name}: {n} {'dealer' if n == 1 else 'dealers'}, mean {mean:.0f}"
            for code, name, n, mean in facts
        }
    out: dict[int, list[dict[str, str]]] = {}
    for code in shapes.within(box):
        if code[:2] in codes:
            shape = {"path": shapes.paths[code], "title": titles.get(code, ""), "code": code}
            shape["url"] = _county_url(code, ask) if shape["title"] else ""
            out.setdefault(class_of.get(code, 0), []).append(shape)
    return sorted(out.items())


def _county_url(code: str, ask: Ask) -> str:
    """Return the address of the map of a county."""
    whole = (0.0, 0.0, atlas.WIDTH, atlas.HEIGHT)
    x0, y0, x1, y1 = atlas.shapes("counties").boxes.get(code, whole)
    return ask.url(atlas.around(np.array([[x0, y0], [x1, y1]])))


class CountyRow(TypedDict):
    """A county of the table beside the map."""

    name: str
    n: int
    mean: float
    url: str
    list_url: str


def _county_table(counties: pd.DataFrame, ask: Ask) -> list[CountyRow]:
    best = counties.sort_values(["mean", "size"], ascending=False).head(_MOST_COUNTIES)
    out: list[CountyRow] = []
    for code, name, state, n, mean in zip(
        best.index, best["county_name"], best["state"], best["size"], best["mean"], strict=True
    ):
        out.append(
            {
                "name": f"{name.removesuffix(' County')}, {state}",
                "n": n,
                "mean": mean,
                "url": _county_url(code, ask),
                "list_url": f"/lists?county={code}",
            }
        )
    return out


def _spots(view: View, points: Points, box: Box, ask: Ask) -> list[dict[str, Any]]:
    """Return one circle for each cell of the view that holds dealers."""
    if not len(points.row):
        return []
    columns = view.snapshot.columns
    side = box[2] / _CELLS
    place = np.floor((points.xy - [box[0], box[1]]) / side).astype(np.int64)
    cell = place[:, 0] * 10_000 + place[:, 1]
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[order], prepend=cell[order[0]] - 1))
    n = np.diff(starts, append=len(order))
    latitude = columns["latitude"][points.row[order]]
    longitude = columns["longitude"][points.row[order]]
    percentile = points.percentile[order]
    found = {
        "x": np.add.reduceat(points.xy[order, 0], starts) / n,
        "y": np.add.reduceat(points.xy[order, 1], starts) / n,
        "percentile": np.add.reduceat(percentile, starts) / n,
        "high": np.maximum.reduceat(percentile, starts),
        "n": n,
        "row": points.row[order[starts]],
        "south": np.minimum.reduceat(latitude, starts),
        "west": np.minimum.reduceat(longitude, starts),
        "north": np.maximum.reduceat(latitude, starts),
        "east": np.maximum.reduceat(longitude, starts),
        "r": side * (0.15 + 0.25 * np.sqrt(n / n.max())),
    }
    # Small circles above large ones, so that none hides another.
    by_size = np.argsort(-n, kind="stable")
    values = zip(*(column[by_size].tolist() for column in found.values()), strict=True)
    spots = [dict(zip(found, value, strict=True)) for value in values]
    return [_spot(view, spot, side, box, ask) for spot in spots]


def _spot(view: View, spot: dict[Any, Any], side: float, box: Box, ask: Ask) -> dict[str, Any]:
    n, columns = int(spot["n"]), view.snapshot.columns
    shown = {
        "x": round(spot["x"], 1),
        "y": round(spot["y"], 1),
        "r": round(spot["r"], 1),
        "n": n,
        "class": _class(spot["percentile"]),
        "show_n": spot["r"] > 0.25 * side,
        "font": round(spot["r"] * 0.85, 1),
    }
    if n == 1:
        dealer = columns["dealer"][spot["row"]]
        name = columns["business_name"][spot["row"]] or columns["licensee_name"][spot["row"]]
        return shown | {
            "dealer": str(dealer),
            "url": f"/dealers/{dealer}",
            "label": f"{str(name or dealer)[:60]}, percentile {spot['percentile']:.0f}",
        }
    label = f"{n:,} dealers, mean percentile {spot['percentile']:.0f}, highest {spot['high']:.0f}"
    extent = max(spot["north"] - spot["south"], spot["east"] - spot["west"])
    is_one_place = extent < _ONE_PLACE or box[2] <= _LEAST_WIDTH * 1.5
    if is_one_place:
        edges = (spot["west"], spot["south"], spot["east"], spot["north"])
        return shown | {"url": _dealers_url(edges, ask), "label": label}
    width = max(side * 4, _LEAST_WIDTH)
    height = width * atlas.HEIGHT / atlas.WIDTH
    zoom = (spot["x"] - width / 2, spot["y"] - height / 2, width, height)
    return shown | {"url": ask.url(zoom), "label": label}


def _dealers_url(edges: Edges, ask: Ask) -> str:
    """Return the address of the dealers of the map within some edges, as a table."""
    asked = {"box": _around(edges), "state": ask.state, "type": ask.type, "top": ask.top}
    return "/dealers?" + urlencode({k: v for k, v in asked.items() if v and (k, v) != ("top", "0")})


def _list_url(view: View, points: Points, ask: Ask, *, is_whole: bool) -> str:
    """Return the address of a new list of what the map shows.

    The share of the highest is not part of it: a list takes the highest by itself.
    """
    asked = {"state": ask.state, "license_type": ask.type}
    if not is_whole and len(points.row):
        asked["box"] = _around(_edges(view, points))
    chosen = urlencode({name: value for name, value in asked.items() if value})
    return f"/lists?{chosen}" if chosen else "/lists"


def _edges(view: View, points: Points) -> Edges:
    columns = view.snapshot.columns
    latitude, longitude = columns["latitude"][points.row], columns["longitude"][points.row]
    return longitude.min(), latitude.min(), longitude.max(), latitude.max()


def _around(edges: Edges) -> str:
    """Return a box as an address has it: outward to whole steps, so that its edges lie within.

    >>> _around((-106.48765, 31.70001, -106.48765, 31.8))
    '-106.4877,31.7000,-106.4876,31.8001'
    """
    west, south, east, north = edges
    # A step more outward than need be costs nothing; an edge that is a step off costs a dealer.
    low = [(ceil(edge * _STEPS) - 1) / _STEPS for edge in (west, south)]
    high = [(floor(edge * _STEPS) + 1) / _STEPS for edge in (east, north)]
    return ",".join(f"{edge:.4f}" for edge in (*low, *high))
