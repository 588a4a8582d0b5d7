"""What a place is exposed to: the border, its ports, people near it, violence across the line.

Functions of points and a date. Every figure that changes over time is read in the newest
vintage public before the date.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from features.arrays import Floats
from features.reference.geography.border_distances import km_to_mexico_line, km_to_port, ports
from features.reference.geography.places import MEXICO_BORDER_STATES, counties, county_population
from features.reference.series import known_before, latest_year
from features.signals.shared.nearness import fading

# Distances at which the exposures fall to 1/e, and where they are cut off.
PORT_SCALE_KM: Final = 100.0
HUB_SCALE_KM: Final = 40.0
DEMAND_SCALE_KM: Final = 300.0
REACH_IN_SCALES: Final = 6.0

# Zones of distance to the line, nearest first: 3 up to 25 km, 2 up to 100, 1 up to 300, 0 beyond.
ZONE_KM: Final = (300.0, 100.0, 25.0)


def zone(km: npt.ArrayLike) -> Floats:
    """Zone of a distance to the line, NaN where it is missing.

    >>> zone([10.0, 25.0, 100.0, 300.0, 301.0]).tolist()
    [3.0, 3.0, 2.0, 1.0, 0.0]
    """
    distance = np.asarray(km, dtype=np.float64)
    found = sum((distance <= limit).astype(np.float64) for limit in ZONE_KM)
    return np.where(np.isfinite(distance), found, np.nan)


class Exposures:
    """Exposures of some points; weights of distance are worked out once, for any date.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Latitude and longitude in degrees.
    """

    def __init__(self, points: Floats) -> None:
        self.points = points

    @cached_property
    def km_to_line(self) -> Floats:
        """Geodesic distance to the land border with Mexico, shape (n,)."""
        return km_to_mexico_line(self.points[:, 0], self.points[:, 1])

    @cached_property
    def nearest_port(self) -> tuple[Floats, npt.NDArray[np.object_]]:
        """Geodesic distance to the nearest land port, and its code; shapes (n,)."""
        return km_to_port(self.points[:, 0], self.points[:, 1])

    @cached_property
    def _port(self) -> npt.NDArray[np.intp]:
        """Position of the nearest port among `ports`, -1 where the point is missing."""
        return np.asarray(ports().index.get_indexer(pd.Index(self.nearest_port[1])), dtype=np.intp)

    @cached_property
    def _port_nearness(self) -> Floats:
        return np.asarray(np.exp(-self.nearest_port[0] / DEMAND_SCALE_KM))

    @cached_property
    def _port_weights(self) -> sparse.csr_array:
        return self._fading(ports(), PORT_SCALE_KM)

    @cached_property
    def _county_weights(self) -> sparse.csr_array:
        return self._fading(_border_counties(), HUB_SCALE_KM)

    def _fading(self, places: pd.DataFrame, scale_km: float) -> sparse.csr_array:
        targets = places[["lat", "lon"]].to_numpy()
        reach_km = scale_km * REACH_IN_SCALES
        return fading(self.points, targets, scale_km=scale_km, reach_km=reach_km)

    def port_gravity(self, as_of: date) -> Floats | None:
        """Vehicles that cross at ports within reach, faded by distance.

        ``sum over ports of vehicles in a year x exp(-km / 100)``, in millions: personal vehicles,
        trucks and buses of the newest year public before `as_of`; nothing beyond 600 km.

        Returns
        -------
        ndarray of float64, shape (n,), or None
            None when no year of crossings was public yet.
        """
        year = latest_year("port_crossings", as_of)
        if year is None:
            return None
        rows = known_before("port_crossings", as_of)
        rows = rows[rows["year"] == year].set_index("port_code")
        vehicles = rows[["personal_vehicles", "trucks", "buses"]].sum(axis=1)
        millions = vehicles.reindex(ports().index).fillna(0).to_numpy(dtype=np.float64) / 1e6
        return np.asarray(self._port_weights @ millions)

    def hub_exposure(self, as_of: date) -> Floats | None:
        """People of the four border states within reach, faded by distance.

        ``sum over counties of Arizona, California, New Mexico and Texas of people x
        exp(-km / 40)``, in millions, county centroids, newest estimate public before `as_of`;
        nothing beyond 240 km. It is high in the large inland metropolitan areas as well as in the
        border towns, which distance to the line is not.

        Returns
        -------
        ndarray of float64, shape (n,), or None
            None when no estimate of population was public yet.
        """
        people = county_population(as_of)
        if people.empty:
            return None
        millions = people.reindex(_border_counties().index).fillna(0).to_numpy() / 1e6
        return np.asarray(self._county_weights @ millions)

    def mexico_demand(self, as_of: date) -> Floats | None:
        """Firearm homicides of a year in the Mexican state across the nearest port, faded.

        ``victims of the last 12 months public before as_of x exp(-km to the port / 300)``.

        Returns
        -------
        ndarray of float64, shape (n,), or None
            None when fewer than 12 months were public yet.
        """
        victims = _victims_by_state(as_of)
        if victims is None:
            return None
        of_port = ports()["mexico_state"].map(victims).to_numpy(dtype=np.float64)
        return np.asarray(np.append(of_port, np.nan)[self._port] * self._port_nearness)


@lru_cache(maxsize=1)
def _border_counties() -> pd.DataFrame:
    table = counties().dropna(subset=["lat", "lon"])
    return table[table["state"].isin(MEXICO_BORDER_STATES)]


@lru_cache(maxsize=64)
def _victims_by_state(as_of: date) -> pd.Series | None:
    rows = known_before("mexico_homicides", as_of)
    months = np.sort(rows["month"].unique())[-12:]
    if len(months) < 12:
        return None
    rows = rows[rows["month"].isin(months)]
    return rows.groupby("state_code")["firearm_homicide_victims"].sum()
