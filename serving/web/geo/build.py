"""Make ``atlas.json`` from a projected TopoJSON atlas: smaller, as SVG paths, borders still shared.

Run once when the atlas changes: ``python -m serving.web.geo.build counties-albers-10m.json``. The
input is ``counties-albers-10m.json`` of us-atlas 3.0.1 (ISC license; shapes of the U.S. Census
Bureau, public domain), in pixels of a 975 x 610 map in the composite Albers projection.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from shapely import LineString

TOLERANCE = 0.45  # pixels: below what an eye tells apart at the scale of a state
SCALE = 10  # tenths of a pixel: whole numbers make short paths
Point = tuple[int, int]


def simplified_arcs(topology: dict[str, Any]) -> list[list[Point]]:
    """Decode and simplify each arc by itself: both neighbors of a border share the result."""
    (kx, ky), (dx, dy) = topology["transform"]["scale"], topology["transform"]["translate"]
    out = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for step_x, step_y in arc:
            x, y = x + step_x, y + step_y
            points.append((x * kx + dx, y * ky + dy))
        line = LineString(points).simplify(TOLERANCE, preserve_topology=True)
        out.append([(round(px * SCALE), round(py * SCALE)) for px, py in line.coords])
    return out


def ring(arcs: list[list[Point]], indices: Iterable[int]) -> list[Point]:
    """Join the arcs of one ring; a negative index is an arc backwards."""
    points: list[Point] = []
    for index in indices:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        points += arc if not points else arc[1:]
    return points


def path(rings: Iterable[list[Point]], *, smallest: float = 12.0) -> str:
    """Return SVG path data; islets whose box is smaller than `smallest` are left out."""
    kept: list[list[Point]] = []
    spare: list[list[Point]] = []
    for points in rings:
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        is_visible = len(set(points)) > 2 and max(xs) - min(xs) + max(ys) - min(ys) > smallest
        (kept if is_visible else spare).append(points)
    out = []
    for points in kept or spare[:1]:
        steps = [
            f"{bx - ax} {by - ay}"
            for (ax, ay), (bx, by) in pairwise(points)
            if (ax, ay) != (bx, by)
        ]
        out.append(f"M{points[0][0]} {points[0][1]}l" + " ".join(steps[:-1]) + "z")
    return "".join(out).replace(" -", "-")


def shapes(topology: dict[str, Any], name: str, arcs: list[list[Point]]) -> dict[str, str]:
    """Return the path of each shape of one object, by its FIPS code."""
    out = {}
    for geometry in topology["objects"][name]["geometries"]:
        polygons = geometry.get("arcs", [])
        if geometry["type"] == "Polygon":
            polygons = [polygons]
        rings = [ring(arcs, indices) for polygon in polygons for indices in polygon]
        if rings:
            out[str(geometry["id"])] = path(rings)
    return out


def main(source: Path) -> None:
    """Write ``atlas.json`` beside this module."""
    topology = json.loads(source.read_text(encoding="utf-8"))
    arcs = simplified_arcs(topology)
    atlas = {
        "source": "us-atlas 3.0.1 counties-albers-10m.json (ISC); U.S. Census Bureau shapes",
        "scale": SCALE,
        "states": shapes(topology, "states", arcs),
        "counties": shapes(topology, "counties", arcs),
    }
    target = Path(__file__).with_name("atlas.json")
    target.write_text(json.dumps(atlas, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{target.name}: {target.stat().st_size:,} bytes")  # noqa: T201 (a build step)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
