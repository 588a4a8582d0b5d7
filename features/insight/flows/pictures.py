"""A flow as pictures: a Sankey diagram and a flow map, as SVG that needs no other file.

Colors are those of the pages; every band and line carries its figure as a title, and the table of
links says the same in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from features.insight.flows.follow import Flow, Link
from features.insight.flows.places import label_of, point_of
from features.reference.geography.border_distances import border_line

WIDTH, HEIGHT = 960, 520
_PAD: Final = 6.0
_COLORS: Final = {
    "intrastate": "#5c7a99", "interstate": "#0b7285", "international": "#b35900", "": "#868e96",
}  # fmt: skip
_STROKES: Final = {"complete": "", "partial": "", "inferred": ' stroke-dasharray="6 4"'}
_BOX: Final = (-125.0, -66.0, 14.0, 50.0)  # west, east, south, north
_MOST_LABELS: Final = 24
_LETTER: Final = 6.6  # width of a letter of a label
_BELOW: Final = 50.0


@dataclass(frozen=True)
class Ground:
    """What a flow map is drawn on.

    Parameters
    ----------
    width, height : float
    shapes : str
        SVG that lies below the flows: outlines, or lines of latitude and longitude.
    at : callable
        Where a latitude and longitude lie; None for a place that is not on the map.
    """

    width: float
    height: float
    shapes: str
    at: Callable[[float, float], tuple[float, float] | None]


@dataclass
class _Node:
    name: str
    column: int
    n: int = 0
    top: float = 0.0
    used_left: float = 0.0
    used_right: float = 0.0


def sankey(flow: Flow, *, most: int = 28) -> str:
    """Return the links as a Sankey diagram; the smallest are put together as "others"."""
    links = _largest(flow.links, most)
    if not links:
        return _empty("No firearm was followed.")
    nodes = _nodes(links)
    columns = sorted({node.column for node in nodes.values()})
    totals = [sum(n.n for n in nodes.values() if n.column == c) for c in columns]
    counts = [sum(1 for n in nodes.values() if n.column == c) for c in columns]
    room = min(HEIGHT - 40 - _PAD * count for count in counts)
    scale = max(room, 80.0) / max(*totals, 1)
    at = dict.fromkeys(columns, 20.0)
    for node in sorted(nodes.values(), key=lambda n: (n.column, -n.n, n.name)):
        node.top = at[node.column]
        at[node.column] += node.n * scale + _PAD
    step = (WIDTH - 300) / max(len(columns) - 1, 1)
    left = {c: 150 + i * step for i, c in enumerate(columns)}
    height = max(at.values()) + 20
    bands = [_band(link, nodes, left, scale) for link in links]
    boxes = [_box(node, left[node.column], scale, columns) for node in nodes.values()]
    title = f"Flow of firearms: {flow.subject.label}, known {flow.first} to {flow.as_of}"
    return _svg(title, [*bands, *boxes], height)


def _largest(links: tuple[Link, ...], most: int) -> list[Link]:
    drawn = sorted((k for k in links if k.n > 0), key=lambda k: (-k.n, k.source, k.target))
    return drawn[:most]


def _nodes(links: list[Link]) -> dict[str, _Node]:
    columns = {
        "maker to dealer": (0, 1), "source to market": (1, 3), "source to port": (1, 2),
        "port to market": (2, 3),
    }  # fmt: skip
    nodes: dict[str, _Node] = {}
    flow_in: dict[str, int] = {}
    flow_out: dict[str, int] = {}
    for link in links:
        first, last = columns[link.kind]
        for name, column in ((_key(link.source, first), first), (_key(link.target, last), last)):
            nodes.setdefault(name, _Node(name, column))
        flow_out[_key(link.source, first)] = flow_out.get(_key(link.source, first), 0) + link.n
        flow_in[_key(link.target, last)] = flow_in.get(_key(link.target, last), 0) + link.n
    for name, node in nodes.items():
        node.n = max(flow_in.get(name, 0), flow_out.get(name, 0))
    return nodes


def _key(name: str, column: int) -> str:
    return f"{column}|{name}"


def _band(link: Link, nodes: dict[str, _Node], left: dict[int, float], scale: float) -> str:
    columns = {"maker to dealer": (0, 1), "source to market": (1, 3), "source to port": (1, 2),
               "port to market": (2, 3)}[link.kind]  # fmt: skip
    a, b = nodes[_key(link.source, columns[0])], nodes[_key(link.target, columns[1])]
    width = link.n * scale
    y0, y1 = a.top + a.used_right + width / 2, b.top + b.used_left + width / 2
    a.used_right += width
    b.used_left += width
    x0, x1 = left[a.column] + 12, left[b.column]
    middle = (x0 + x1) / 2
    told = f"{label_of(link.source)} to {label_of(link.target)}: {_told(link)}"
    return (
        f'<path d="M{x0:.1f},{y0:.1f} C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} '
        f'{x1:.1f},{y1:.1f}" fill="none" stroke="{_COLORS[link.course]}" stroke-opacity="0.45" '
        f'stroke-width="{max(width, 1):.1f}"{_STROKES[link.status]}><title>{escape(told)}'
        "</title></path>"
    )


def _told(link: Link) -> str:
    count = f"{link.low:,} to {link.n:,}" if link.status == "inferred" else f"{link.n:,}"
    noun = "firearm" if link.n == 1 and link.status != "inferred" else "firearms"
    return f"{count} {noun}, {link.status}, from {link.evidence.replace('_', ' ')}"


def _box(node: _Node, x: float, scale: float, columns: list[int]) -> str:
    name = label_of(node.name.split("|", 1)[1])
    height = max(node.n * scale, 1.0)
    is_first = node.column == columns[0]
    at, anchor = (x - 6, "end") if is_first else (x + 18, "start")
    return (
        f'<rect x="{x:.1f}" y="{node.top:.1f}" width="12" height="{height:.1f}"/>'
        f'<text x="{at:.1f}" y="{node.top + height / 2 + 4:.1f}" text-anchor="{anchor}">'
        f"{escape(name)} {node.n:,}</text>"
    )


def flow_map(flow: Flow, *, most: int = 60, ground: Ground | None = None) -> str:
    """Return the links as arcs between places, with the border.

    Parameters
    ----------
    flow : Flow
    most : int
        Links drawn at most, the largest.
    ground : Ground, optional
        Lines of latitude and longitude when none is given.
    """
    is_given, ground = ground is not None, ground or _graticule()
    places = _placed(flow, ground)
    drawn = [
        link for link in _largest(flow.links, len(flow.links))
        if link.source in places and link.target in places and link.source != link.target
    ][:most]  # fmt: skip
    if not drawn:
        return _empty("No link has two places.")
    parts = [ground.shapes, _border(ground)]
    ends: dict[str, int] = {}
    for link in reversed(drawn):
        parts.append(_arc(link, drawn[0].n, places))
        for end in (link.source, link.target):
            ends[end] = ends.get(end, 0) + link.n
    largest = sorted(ends, key=lambda name: (-ends[name], name))[:_MOST_LABELS]
    title = f"Flow map: {flow.subject.label}, known {flow.first} to {flow.as_of}"
    parts += _labels(largest, places, ground.width)
    # Below the last place and the border there is nothing to see.
    lowest = max([*(places[name][1] for name in ends), *(y for _, y in _border_points(ground))])
    height = min(ground.height, lowest + _BELOW) if is_given else ground.height
    return _svg(title, parts, height, ground.width)


def _placed(flow: Flow, ground: Ground) -> dict[str, tuple[float, float]]:
    out = {}
    for name in dict.fromkeys(end for link in flow.links for end in (link.source, link.target)):
        point = point_of(name)
        at = ground.at(*point) if point is not None else None
        if at is not None:
            out[name] = at
    return out


def _labels(names: list[str], places: dict[str, tuple[float, float]], width: float) -> list[str]:
    """Return dots and names, the largest first; a name that would cover another is left out."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for name in names:
        (x, y), text = places[name], label_of(name)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        long = _LETTER * len(text)
        left = x + 5 if x + 5 + long <= width else x - 5 - long
        right = left + long
        if any(left < r and right > k and abs(y - b) < 13 for k, r, b in taken):
            continue
        taken.append((left, right, y))
        parts.append(f'<text x="{left:.1f}" y="{y - 4:.1f}">{escape(text)}</text>')
    return parts


def _border_points(ground: Ground) -> list[tuple[float, float]]:
    lines = np.asarray(border_line().coords)
    points = (ground.at(lat, lon) for lon, lat in lines[::20, :2].tolist())
    return [point for point in points if point is not None]


def _border(ground: Ground) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in _border_points(ground))
    return f'<polyline points="{path}" fill="none" stroke="#868e96" stroke-width="2"/>'


def _arc(link: Link, top: int, places: dict[str, tuple[float, float]]) -> str:
    (x0, y0), (x1, y1) = places[link.source], places[link.target]
    bend_x, bend_y = (x0 + x1) / 2 + (y1 - y0) * 0.15, (y0 + y1) / 2 - (x1 - x0) * 0.15
    told = f"{label_of(link.source)} to {label_of(link.target)}: {_told(link)}"
    return (
        f'<path d="M{x0:.1f},{y0:.1f} Q{bend_x:.1f},{bend_y:.1f} {x1:.1f},{y1:.1f}" fill="none" '
        f'stroke="{_COLORS[link.course]}" stroke-opacity="0.6" '
        f'stroke-width="{1 + 9 * link.n / top:.1f}"{_STROKES[link.status]}>'
        f"<title>{escape(told)}</title></path>"
    )


def _graticule() -> Ground:
    """Return lines each ten degrees, with their figures."""
    west, east, south, north = _BOX
    parts = []
    for lon in range(-120, -69, 10):
        x, _ = _xy(south, lon)
        parts.append(f'<path d="M{x:.0f},0V{HEIGHT}"/><text x="{x + 3:.0f}" y="12">{-lon}°W</text>')
    for lat in range(20, 50, 10):
        _, y = _xy(lat, west)
        parts.append(f'<path d="M0,{y:.0f}H{WIDTH}"/><text x="3" y="{y - 3:.0f}">{lat}°N</text>')
    lines = f'<g stroke="#868e96" stroke-width=".5" stroke-opacity=".6">{"".join(parts)}</g>'

    def at(lat: float, lon: float) -> tuple[float, float] | None:
        is_on = west <= lon <= east and south <= lat <= north
        return _xy(lat, lon) if is_on else None

    return Ground(WIDTH, HEIGHT, lines.replace("<text ", '<text stroke="none" '), at)


def _xy(lat: float, lon: float) -> tuple[float, float]:
    west, east, south, north = _BOX
    return (lon - west) / (east - west) * WIDTH, (north - lat) / (north - south) * HEIGHT


def _svg(title: str, parts: list[str], height: float, width: float = WIDTH) -> str:
    said = escape(title, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{said}" font-family="sans-serif" font-size="12" '
        f'fill="currentColor"><title>{said}</title>{"".join(parts)}</svg>'
    )


def _empty(sentence: str) -> str:
    return _svg(sentence, [f'<text x="20" y="40">{escape(sentence)}</text>'], 60)
