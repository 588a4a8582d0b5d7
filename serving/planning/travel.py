"""Driving between places: geodesic distance times a road factor, at a road speed."""

from __future__ import annotations

from typing import overload

import numpy as np

from features.arrays import Floats
from features.reference.geography.border_distances import wgs84
from serving.planning.request import policy


def road_km(
    latitude: Floats,
    longitude: Floats,
    *,
    to_latitude: float | Floats,
    to_longitude: float | Floats,
) -> Floats:
    """Return the estimated road kilometers between two arrays of places that broadcast.

    Geodesic on the WGS 84 ellipsoid, times the road factor of the policy. It knows no river,
    border crossing or mountain: where roads detour more, the plan is too hopeful.
    """
    a, b, c, d = np.broadcast_arrays(longitude, latitude, to_longitude, to_latitude)
    _, _, meters = wgs84().inv(a.ravel(), b.ravel(), c.ravel(), d.ravel())
    straight = np.asarray(meters, dtype=np.float64).reshape(a.shape) / 1000.0
    return straight * policy()["road_factor"]


def straight_places(latitude: Floats, longitude: Floats) -> Floats:
    """Return places in road kilometers along three axes, shape (n, 3).

    Their distances are straight through the earth, so never longer than `road_km`.
    """
    ellipsoid = wgs84()
    phi, lam = np.radians(latitude), np.radians(longitude)
    normal = ellipsoid.a / np.sqrt(1.0 - ellipsoid.es * np.sin(phi) ** 2)
    meters = np.column_stack(
        [
            normal * np.cos(phi) * np.cos(lam),
            normal * np.cos(phi) * np.sin(lam),
            normal * (1.0 - ellipsoid.es) * np.sin(phi),
        ]
    )
    return meters / 1000.0 * policy()["road_factor"]


@overload
def drive_hours(km: float) -> float: ...
@overload
def drive_hours(km: Floats) -> Floats: ...
def drive_hours(km: float | Floats) -> float | Floats:
    """Return the hours it takes to drive `km` road kilometers."""
    return km / policy()["road_speed"]


def km_matrix(latitude: Floats, longitude: Floats) -> Floats:
    """Return the road kilometers between all pairs of places, shape (n, n), symmetric."""
    upper = np.triu_indices(len(latitude), k=1)
    km = np.zeros((len(latitude), len(latitude)))
    if len(upper[0]):
        km[upper] = road_km(
            latitude[upper[0]],
            longitude[upper[0]],
            to_latitude=latitude[upper[1]],
            to_longitude=longitude[upper[1]],
        )
    return km + km.T
