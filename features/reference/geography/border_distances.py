"""Geodesic distance to the US-Mexico line and to the land ports of entry.

Distances are geodesics on the WGS 84 ellipsoid (`pyproj.Geod`), never raw degrees. The nearest
point is found on earth-centered coordinates, then measured. The line is filled in
to a point every 50 m, which overstates a distance by at most 25 m on the line and 1 m at 1 km.

References
----------
C. F. F. Karney, "Algorithms for geodesics", Journal of Geodesy 87 (2013) 43-55.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.errors import InvalidValueError
from features.reference.files import DATA

if TYPE_CHECKING:
    import shapely
    from pyproj import Geod


MAX_GAP_M: Final = 50.0


@lru_cache(maxsize=1)
def wgs84() -> Geod:
    """Return the ellipsoid of all distances."""
    from pyproj import Geod  # slow to import, and not needed to name a port

    return Geod(ellps="WGS84")


@lru_cache(maxsize=2)
def border_line(country: str = "MX") -> shapely.LineString:
    """Land border of the United States with a country, longitude and latitude in degrees.

    Raises
    ------
    InvalidValueError
        For a country other than ``MX``; no other line is shipped.
    """
    if country != "MX":
        raise InvalidValueError(f"No border line of {country!r} is shipped.", expected="'MX'")
    import shapely

    text = (DATA / "border_mexico.geojson").read_text(encoding="utf-8")
    parts = [shapely.geometry.shape(f["geometry"]) for f in json.loads(text)["features"]]
    return shapely.line_merge(shapely.union_all(parts))


@lru_cache(maxsize=1)
def ports() -> pd.DataFrame:
    """Land ports of entry on the Mexican border, indexed by ``port_code``.

    Columns ``port_name``, ``state``, ``lat``, ``lon`` (degrees, two decimals: about 1 km) and
    ``mexico_state``, the Mexican state across the line.
    """
    table = pd.read_csv(DATA / "ports_mexico.csv", dtype={"port_code": str})
    return table.set_index("port_code")


def earth_centered(lat: npt.ArrayLike, lon: npt.ArrayLike) -> Floats:
    """Points of the ellipsoid in km from the center of the earth, shape (n, 3).

    Straight-line distance between two such points orders neighbors as the geodesic does, which
    degrees do not.
    """
    ellipsoid = wgs84()
    phi, lam = np.radians(np.asarray(lat, float)), np.radians(np.asarray(lon, float))
    normal = ellipsoid.a / np.sqrt(1 - ellipsoid.es * np.sin(phi) ** 2)
    return (
        np.column_stack(
            (
                normal * np.cos(phi) * np.cos(lam),
                normal * np.cos(phi) * np.sin(lam),
                normal * (1 - ellipsoid.es) * np.sin(phi),
            )
        )
        / 1000.0
    )


def geodesic_km(lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> Floats:
    """Length of the geodesic between pairs of points, km, shape (n,)."""
    return np.asarray(wgs84().inv(lon1, lat1, lon2, lat2)[2], dtype=np.float64) / 1000.0


def km_to_mexico_line(lat: npt.ArrayLike, lon: npt.ArrayLike) -> Floats:
    """Geodesic distance to the land border with Mexico.

    Parameters
    ----------
    lat, lon : array_like, shape (n,)
        Degrees; NaN gives NaN.

    Returns
    -------
    ndarray of float64, shape (n,)
        Kilometers.

    Examples
    --------
    >>> km_to_mexico_line([32.2226], [-110.9747]).round(0)  # downtown Tucson
    array([95.])
    """
    return _nearest(lat, lon, *_border_points())[0]


def km_to_port(lat: npt.ArrayLike, lon: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.object_]]:
    """Geodesic distance to the nearest land port of entry, and that port's code.

    Returns
    -------
    km : ndarray of float64, shape (n,)
        Kilometers; NaN where the point is missing.
    port_code : ndarray of object, shape (n,)
        Codes as in `ports`; None where the point is missing.
    """
    table = ports()
    km, nearest = _nearest(lat, lon, table["lat"].to_numpy(), table["lon"].to_numpy())
    codes = np.array([*table.index, None], dtype=object)
    return km, codes[nearest]


def _nearest(
    lat: npt.ArrayLike, lon: npt.ArrayLike, to_lat: Floats, to_lon: Floats
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Distance to the nearest target and its position, -1 where the point is missing.

    Each distinct point is measured once: dealers of one ZIP code share theirs.
    """
    from features.reference.geography.nearest_points import closest  # a compiled kernel

    points = np.column_stack((np.asarray(lat, float), np.asarray(lon, float)))
    km = np.full(len(points), np.nan)
    nearest = np.full(len(points), -1, dtype=np.intp)
    is_known = np.isfinite(points).all(axis=1)
    if not is_known.any():
        return km, nearest
    distinct, back = np.unique(points[is_known], axis=0, return_inverse=True)
    found = closest(
        earth_centered(distinct[:, 0], distinct[:, 1]), *_runs(earth_centered(to_lat, to_lon))
    )
    measured = geodesic_km(distinct[:, 0], distinct[:, 1], to_lat[found], to_lon[found])
    km[is_known], nearest[is_known] = measured[back.ravel()], found[back.ravel()]
    return km, nearest


def _runs(targets: Floats) -> tuple[Floats, Floats, Floats]:
    """Cut targets into runs of neighbors; each with its center and the reach of its points."""
    from features.reference.geography.nearest_points import RUN

    runs = [targets[i : i + RUN] for i in range(0, len(targets), RUN)]
    centers = np.array([run.mean(axis=0) for run in runs])
    reach = [np.linalg.norm(run - c, axis=1).max() for run, c in zip(runs, centers, strict=True)]
    return targets, centers, np.array(reach) + 1e-9


@lru_cache(maxsize=1)
def _border_points() -> tuple[Floats, Floats]:
    """Latitudes and longitudes of the line, filled in along geodesics."""
    import shapely

    corners = np.asarray(shapely.get_coordinates(border_line()))
    lon, lat = corners[:, 0], corners[:, 1]
    gaps = geodesic_km(lat[:-1], lon[:-1], lat[1:], lon[1:]) * 1000.0
    filled: list[Floats] = [corners]
    for start, stop, gap in zip(corners[:-1], corners[1:], gaps, strict=True):
        n_between = int(gap // MAX_GAP_M)
        if n_between:
            between = wgs84().npts(*start, *stop, n_between)
            filled.append(np.asarray(between, dtype=np.float64))
    points = np.vstack(filled)
    return points[:, 1].copy(), points[:, 0].copy()
