"""Family `border`: how a dealer lies to the Mexican line, its ports, people and violence.

All distances are geodesics. The dealer stands where its newest listing says, else at its ZIP
code's point, else at its county's centroid.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from features.arrays import Floats
from features.domain.asof import from_day
from features.signals.shared import exposure
from features.signals.shared.listings import Listings, listings, slices
from features.signals.shared.nearness import distinct_points
from features.signals.signal import (
    NO_EXPOSURE,
    NO_SOURCE,
    OBSERVED,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
)

if TYPE_CHECKING:
    from features.engine.context import Context

_FLOW: Final = "McDougal, Shirk, Muggah and Patterson, The Way of the Gun (2013, 2014)"
_BTS: Final = "Bureau of Transportation Statistics, Border Crossing Entry Data; " + _FLOW
_HUBS: Final = "GAO-16-223 (2016); ATF traces of 2015-22 by city: Houston, Tucson, Phoenix first"
_SESNSP: Final = "SESNSP, victims of intentional homicide; Dube, Dube and Garcia-Ponce (2013)"

_signal = partial(Signal, family="border", table="licenses")

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal(
        name="border_km_to_mexico_line",
        unit="km",
        definition="Geodesic distance from the premises to the land border with Mexico.",
        reason="{value} km from the Mexican border",
        reference=_FLOW,
        direction=-1,
    ),
    _signal(
        name="border_km_to_port",
        unit="km",
        definition=(
            "Geodesic distance from the premises to the nearest land port of entry from Mexico."
        ),
        reason="{value} km from the nearest port of entry",
        reference=_FLOW,
        direction=-1,
    ),
    _signal(
        name="border_zone",
        unit="code",
        definition=(
            "Zone of the distance to the line: 3 up to 25 km, 2 up to 100 km, 1 up to 300 km, 0 "
            "beyond."
        ),
        reason="Stands {value} from the Mexican border",
        words=("over 300 km", "up to 300 km", "up to 100 km", "up to 25 km"),
        reference=_FLOW,
        direction=1,
        is_category=True,
    ),
    _signal(
        name="border_port_gravity",
        unit="million vehicles a year",
        definition=(
            "Vehicles that crossed at each Mexican port in the newest year then public, times "
            "exp(-km / 100), summed over the ports within 600 km."
        ),
        reason="Border traffic within reach: {value} million vehicles a year",
        reference=_BTS,
        direction=1,
    ),
    _signal(
        name="border_hub_exposure",
        unit="million people",
        definition=(
            "People of the counties of Arizona, California, New Mexico and Texas in the newest "
            "estimate then public, times exp(-km / 40), summed within 240 km: high in the inland "
            "metropolitan areas as in the border towns."
        ),
        reason="{value} million people of the border states within reach",
        reference=_HUBS,
        direction=1,
    ),
    _signal(
        name="border_mexico_demand_1y",
        unit="victims",
        definition=(
            "Firearm homicide victims of the last 12 months then public in the Mexican state "
            "across the nearest port, times exp(-km to the port / 300)."
        ),
        reason=(
            "Armed violence across the nearest port (faded by distance): {value} victims a year"
        ),
        reference=_SESNSP,
        window="1y",
        direction=1,
    ),
)


def build(context: Context) -> FamilyColumns:
    """Return the columns of the family, one row a cohort row."""
    if not context.has("licenses"):
        return no_source(SIGNALS, context.n_rows)
    return context.once("border", lambda: _build(context), is_of_listings=True)


def _build(context: Context) -> FamilyColumns:
    stage = listings(context)
    points, position = stage_points(stage)
    place = exposure.Exposures(points)
    line, port = np.append(place.km_to_line, np.nan), np.append(place.nearest_port[0], np.nan)
    values = {s.name: np.full(context.n_rows, np.nan, dtype=np.float32) for s in SIGNALS}
    reasons = {s.name: np.full(context.n_rows, OBSERVED, dtype=np.int8) for s in SIGNALS}
    for part in slices(context, stage):
        at = np.where(part.dealer >= 0, position[stage.last[part.dealer, part.date]], -1)
        columns: dict[str, Floats | None] = {
            "km_to_mexico_line": line[at],
            "km_to_port": port[at],
            "zone": exposure.zone(line[at]),
        }
        when = from_day(stage.as_of[part.date])
        for name, exposed in (
            ("port_gravity", place.port_gravity),
            ("hub_exposure", place.hub_exposure),
            ("mexico_demand_1y", place.mexico_demand),
        ):
            by_point = exposed(when)
            columns[name] = None if by_point is None else np.append(by_point, np.nan)[at]
        for name, column in columns.items():
            _put(f"border_{name}", column, part.rows, values, reasons)
    return FamilyColumns(values, reasons)


def stage_points(stage: Listings) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Distinct points of all listing rows, and the point of each row (-1 unknown)."""
    return distinct_points(stage.rows["lat"], stage.rows["lon"])


def _put(
    name: str,
    column: Floats | None,
    rows: slice,
    values: dict[str, npt.NDArray[np.float32]],
    reasons: dict[str, Reasons],
) -> None:
    """Put one date's column; None is a figure that was not public yet."""
    if column is None:
        reasons[name][rows] = NO_SOURCE
        return
    values[name][rows] = column
    reasons[name][rows] = np.where(np.isnan(column), NO_EXPOSURE, OBSERVED)
