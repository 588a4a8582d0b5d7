"""A flow as files: GraphML for graph tools, GeoJSON for maps, CSV for everything else."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

from features.domain.spreadsheet_formulas import neutral
from features.errors import InvalidValueError
from features.insight.flows.corridors import Corridor
from features.insight.flows.follow import Flow, Link
from features.insight.flows.graphs import igraph
from features.insight.flows.places import label_of, point_of
from features.openjson import Json

_COLUMNS: Final = (
    "source", "target", "kind", "course", "n", "low", "n_short", "status", "evidence",
)  # fmt: skip


def content_for(flow: Flow, name: str) -> bytes:
    """Return a flow in the format that a file name asks for.

    Raises
    ------
    InvalidValueError
        When the ending is none of those known.
    """
    from features.insight.flows.pictures import flow_map, sankey

    if name.endswith(".map.svg"):
        return flow_map(flow).encode()
    if name.endswith("corridors.csv"):
        return corridors_csv(flow)
    writers: dict[str, Callable[[Flow], bytes]] = {
        "csv": to_csv, "graphml": to_graphml, "geojson": to_geojson, "json": to_json,
        "svg": lambda one: sankey(one).encode(),
    }  # fmt: skip
    ending = name.rsplit(".", 1)[-1].lower()
    if ending not in writers:
        raise InvalidValueError(
            f"No flow can be written as {name[-40:]!r}.",
            expected=f"a name that ends in .{', .'.join(writers)}, .map.svg or .corridors.csv",
        )
    return writers[ending](flow)


def to_csv(flow: Flow) -> bytes:
    """Return the links as CSV, with what a link does not say at the end."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for link in flow.links:
        writer.writerow([_safe(getattr(link, name)) for name in _COLUMNS])
    for sentence in flow.statements:
        writer.writerow([f"# {sentence}"])
    return text.getvalue().encode()


def corridors_csv(flow: Flow) -> bytes:
    """Return the corridors as CSV: counted, expected, and the range under full submission."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Corridor)]
    writer.writerow(names)
    for lane in flow.corridors:
        writer.writerow([_safe(getattr(lane, name)) for name in names])
    for sentence in flow.statements:
        writer.writerow([f"# {sentence}"])
    return text.getvalue().encode()


def _safe(value: object) -> object:
    """Keep a text from being read as a formula by a spreadsheet."""
    return neutral(value) if isinstance(value, str) else value


def to_graphml(flow: Flow) -> bytes:
    """Return the links as GraphML."""
    names = list(dict.fromkeys(end for link in flow.links for end in (link.source, link.target)))
    place = {name: i for i, name in enumerate(names)}
    graph = igraph().Graph(directed=True)
    graph.add_vertices(len(names), {"name": names, "label": [label_of(name) for name in names]})
    graph.add_edges([(place[link.source], place[link.target]) for link in flow.links])
    for column in _COLUMNS[2:]:
        graph.es[column] = [getattr(link, column) for link in flow.links]
    graph["statement"] = flow.statements[0]
    graph["as_of"] = flow.as_of.isoformat()
    with tempfile.TemporaryDirectory(prefix="ffl-risk-graph-") as folder:
        path = Path(folder) / "flow.graphml"
        graph.write_graphml(str(path))
        return path.read_bytes()


def to_geojson(flow: Flow) -> bytes:
    """Return the links whose ends have a place as GeoJSON lines."""
    features = [_line(link) for link in flow.links]
    document = {
        "type": "FeatureCollection",
        "as_of": flow.as_of.isoformat(),
        "statements": list(flow.statements),
        "n_without_place": sum(line is None for line in features),
        "features": [line for line in features if line is not None],
    }
    return json.dumps(document, indent=1).encode()


def _line(link: Link) -> Json | None:
    ends = [point_of(link.source), point_of(link.target)]
    if None in ends:
        return None
    properties = {k: v for k, v in asdict(link).items() if k != "record_ids"}
    return {
        "type": "Feature",
        "geometry": {
            "type": "LineString",
            "coordinates": [[p[1], p[0]] for p in ends if p is not None],
        },
        "properties": properties,
    }


def to_json(flow: Flow) -> bytes:
    """Return everything as JSON."""
    return json.dumps(flow.as_dict(), indent=1).encode()
