"""Within which degrees each state lies, to tell a point that cannot be there from one that can.

A geocoder that finds nothing writes 0/0, a program drops the minus of a longitude, a clerk swaps
the two: such a point is no place. Boxes are those of the counties and ZIP codes of a state with a
margin of about a hundred kilometers, so that no point of the state is doubted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd

from features.reference.geography.places import counties, states, zip_places
from features.sql import literal

MARGIN: Final = 1.0  # degrees
# Attu; the last ZIP code of the Aleutians lies ten degrees east of it.
_FURTHEST_WEST: Final = {"AK": -187.6}


@lru_cache(maxsize=1)
def state_boxes() -> pd.DataFrame:
    """Boxes, indexed by ``state``: ``south``, ``north``, ``west``, ``east`` in degrees.

    Longitudes run on to the west: 172.4 E, where Alaska ends, is -187.6.
    """
    told = [one.reset_index()[["state", "lat", "lon"]] for one in (counties(), zip_places())]
    points = pd.concat(told).dropna()
    points = points[points["state"].isin(states()["state"])]
    points["lon"] = np.where(points["lon"] > 0, points["lon"] - 360, points["lon"])
    of_state = points.groupby("state")
    boxes = pd.DataFrame(
        {
            "south": of_state["lat"].min(), "north": of_state["lat"].max(),
            "west": of_state["lon"].min(), "east": of_state["lon"].max(),
        }
    )  # fmt: skip
    for state, west in _FURTHEST_WEST.items():
        boxes.loc[state, "west"] = west
    return boxes + np.array([-MARGIN, MARGIN, -MARGIN, MARGIN])


def in_state_sql(state: str, latitude: str, longitude: str) -> str:
    """Return SQL that is true where a point can lie in the state, by its two letters."""
    boxes = state_boxes()
    names = literal(" ".join(boxes.index))
    at = f"(instr({names}, {state}) + 2) // 3"
    side = {name: f"list_extract({boxes[name].round(4).tolist()}, {at})" for name in boxes}
    return _within(latitude, longitude, side)


def in_country_sql(latitude: str, longitude: str) -> str:
    """Return SQL that is true where a point can lie in any state or territory."""
    boxes = state_boxes().round(4).to_dict("records")
    return " OR ".join(_within(latitude, longitude, box) for box in boxes)


def is_in_country(latitude: float, longitude: float) -> bool:
    """Return whether a point can lie in any state or territory, as `in_country_sql` does.

    >>> is_in_country(29.76, -95.37), is_in_country(29.76, 95.37), is_in_country(0, 0)
    (True, False, False)
    """
    boxes = state_boxes().round(4)
    west = longitude - 360 if longitude > 0 else longitude
    is_within = boxes["south"].le(latitude) & boxes["north"].ge(latitude)
    return bool((is_within & boxes["west"].le(west) & boxes["east"].ge(west)).any())


def _within(latitude: str, longitude: str, box: Mapping[Any, Any]) -> str:
    west = f"CASE WHEN {longitude} > 0 THEN {longitude} - 360 ELSE {longitude} END"
    return (
        f"(coalesce({latitude} BETWEEN {box['south']} AND {box['north']} AND "
        f"({west}) BETWEEN {box['west']} AND {box['east']}, false))"
    )
