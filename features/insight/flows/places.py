"""Where the ends of a link lie: counties, states of both countries, ports; for maps and GeoJSON."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from features.reference.destinations import countries, place_sql
from features.reference.files import DATA
from features.reference.geography.border_distances import ports
from features.reference.geography.places import counties, states
from features.sql import literal


@lru_cache(maxsize=1)
def mexican_states() -> pd.DataFrame:
    """Name and a point near the middle of each Mexican state, by ISO 3166-2 code."""
    return pd.read_csv(DATA / "mexico_states.csv").set_index("state")


@lru_cache(maxsize=1)
def _points() -> dict[str, tuple[float, float]]:
    known = counties().dropna(subset=["lat", "lon"])
    out = {
        str(code): (float(lat), float(lon))
        for code, lat, lon in zip(known.index, known["lat"], known["lon"], strict=True)
    }
    # A state lies where its counties do in the mean; enough to draw a line to.
    middle = known.groupby("state")[["lat", "lon"]].mean()
    for code, lat, lon in zip(middle.index, middle["lat"], middle["lon"], strict=True):
        out[str(code)] = (float(lat), float(lon))
    table = mexican_states()
    for code, lat, lon in zip(table.index, table["lat"], table["lon"], strict=True):
        out[str(code)] = (float(lat), float(lon))
    gates = ports()
    codes = [str(code) for code in gates.index.to_list()]
    for gate, lat, lon in zip(codes, gates["lat"], gates["lon"], strict=True):
        out[f"port {gate}"] = (float(lat), float(lon))
    return out


def point_of(name: str) -> tuple[float, float] | None:
    """Return latitude and longitude of one end of a link, None where it has no place.

    >>> point_of("MX-SON"), point_of("maker not known")
    ((29.6, -110.8), None)
    """
    return _points().get(name)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """States of the United States and countries; the country is told from the state of its name."""
    own = states().set_index("state")["name"].astype(str).to_dict()
    taken = set(own.values())
    others = {
        f"country {code}": f"{name} (country)" if name in taken else name
        for code, name in countries().items()
    }
    return {**own, **others, "US": "United States, state not known", "MX": "Mexico"}


def label_sql() -> str:
    """Return SQL for the place of a recovery in words."""
    names = _names() | mexican_states()["name"].astype(str).to_dict()
    pairs = ", ".join(f"{literal(str(code))}: {literal(name)}" for code, name in names.items())
    return f"coalesce(MAP {{{pairs}}}[{place_sql()}], {place_sql()})"


def label_of(name: str) -> str:
    """Return an end of a link in words.

    >>> label_of("MX-SON"), label_of("48201"), label_of("CA"), label_of("country CA")
    ('Sonora', 'Harris County, TX', 'California', 'Canada')
    """
    if name in _names():
        return _names()[name]
    if name in mexican_states().index:
        return str(mexican_states().loc[name, "name"])
    if name in counties().index:
        row = counties().loc[name]
        return str(row["county_name"]) + ", " + str(row["state"])
    if name.startswith("port ") and name[5:] in ports().index:
        return f"port of {ports().loc[name[5:], 'port_name']!s}"
    return name
