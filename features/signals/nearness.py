"""Nearness of points: who is within a distance, and sums that fade with distance.

Neighbors are found with a k-d tree on earth-centered coordinates (the ellipsoid in three
dimensions), never by comparing degrees and never by a loop over pairs. The straight line through
the earth is bent to its arc on the mean sphere, which agrees with the geodesic to 1 m at 50 km and
to a few meters at 600 km.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from features.reference.geography import earth_centered

Floats = npt.NDArray[np.float64]

MEAN_RADIUS_KM: Final = 6371.0088


def distinct_points(lat: npt.ArrayLike, lon: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Distinct located points, and which of them each row stands on.

    Parameters
    ----------
    lat, lon : array_like, shape (n,)
        Degrees; NaN where the place is unknown.

    Returns
    -------
    points : ndarray, shape (m, 2)
        Latitude and longitude of each distinct point.
    position : ndarray of int, shape (n,)
        Row of `points`, or -1 where the place is unknown.
    """
    latitude, longitude = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    is_known = np.isfinite(latitude) & np.isfinite(longitude)
    # One complex number a point: hashing it is many times faster than sorting pairs.
    codes, found = pd.factorize(latitude[is_known] + 1j * longitude[is_known])
    position = np.full(len(latitude), -1, dtype=np.intp)
    position[is_known] = codes
    return np.column_stack((found.real, found.imag)), position


def within(points: Floats, targets: Floats, radius_km: float) -> sparse.csr_array:
    """Incidence of targets within a radius of each point.

    Parameters
    ----------
    points, targets : ndarray, shapes (n, 2) and (m, 2)
        Latitude and longitude in degrees.
    radius_km : float
        Radius, both ends included.

    Returns
    -------
    csr_array of float64, shape (n, m)
        1.0 where the target is within the radius.
    """
    found = distances_within(points, targets, radius_km)
    found.data[:] = 1.0
    return found


def distances_within(points: Floats, targets: Floats, radius_km: float) -> sparse.csr_array:
    """Distances in km of the targets within a radius of each point; a stored zero is a distance.

    Returns
    -------
    csr_array of float64, shape (n, m)
    """
    shape = (len(points), len(targets))
    if 0 in shape:
        return sparse.csr_array(shape)
    tree = cKDTree(earth_centered(points[:, 0], points[:, 1]))
    other = cKDTree(earth_centered(targets[:, 0], targets[:, 1]))
    # A chord is never longer than its arc, so none within the radius is missed.
    pairs = tree.sparse_distance_matrix(other, radius_km, output_type="ndarray")
    pairs["v"] = 2 * MEAN_RADIUS_KM * np.arcsin(pairs["v"] / (2 * MEAN_RADIUS_KM))
    pairs = pairs[pairs["v"] <= radius_km]
    order = np.lexsort((pairs["j"], pairs["i"]))  # sums then never depend on the tree's order
    pairs = pairs[order]
    starts = np.searchsorted(pairs["i"], np.arange(shape[0] + 1))
    return sparse.csr_array((pairs["v"].copy(), pairs["j"].astype(np.int64), starts), shape=shape)


def fading(
    points: Floats, targets: Floats, *, scale_km: float, reach_km: float
) -> sparse.csr_array:
    """Weights ``exp(-km / scale_km)`` of the targets within reach of each point.

    Returns
    -------
    csr_array of float64, shape (n, m)
        Beyond `reach_km` the weight is zero.
    """
    found = distances_within(points, targets, reach_km)
    np.exp(-found.data / scale_km, out=found.data)
    return found
