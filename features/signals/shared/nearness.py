"""Nearness of points: who is within a distance, and sums that fade with distance.

Neighbors are found with a k-d tree on earth-centered coordinates (the ellipsoid in three
dimensions), never by comparing degrees and never by a loop over pairs. The straight line through
the earth is bent to its arc on the mean sphere, which agrees with the geodesic to 1 m at 50 km and
to a few meters at 600 km.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from features.arrays import Floats
from features.reference.geography.border_distances import earth_centered

MEAN_RADIUS_KM: Final = 6371.0088
_POINTS: Final = 4_000  # points that a thread takes at a time


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


def sums_within(
    points: Floats, targets: Floats, mass: npt.NDArray[np.int64], radii_km: Sequence[float]
) -> npt.NDArray[np.int64]:
    """Sum the masses of the targets within each radius of each point.

    Parameters
    ----------
    points, targets : ndarray, shapes (n, 2) and (m, 2)
        Latitude and longitude in degrees.
    mass : ndarray of int64, shape (m, k)
        Whole numbers, so that their sums are exact in any order.
    radii_km : sequence of float, ascending
        Radii, both ends included.

    Returns
    -------
    ndarray of int64, shape (n_radii, n, k)
    """
    here = earth_centered(points[:, 0], points[:, 1])
    there = earth_centered(targets[:, 0], targets[:, 1])
    side = float(radii_km[-1])  # of the cubes: who is near stands in the same or the next one
    low = np.min(np.vstack((here, there, np.zeros((1, 3)))), axis=0) - side
    cube_of = [np.floor((p - low) / side).astype(np.int64) for p in (here, there)]
    span = np.max(np.vstack((*cube_of, np.ones((1, 3), np.int64))), axis=0) + 2
    codes = [(c[:, 0] * span[1] + c[:, 1]) * span[2] + c[:, 2] for c in cube_of]
    order = np.argsort(codes[1], kind="stable")
    steps = np.array([(i * span[1] + j) * span[2] - 1 for i in (-1, 0, 1) for j in (-1, 0, 1)])
    out = np.zeros((len(radii_km), len(points), mass.shape[1]), dtype=np.int64)
    targets_in_order = (there[order], codes[1][order], steps, mass[order], np.array(radii_km))

    def add(rows: slice) -> None:
        _add_within(here[rows], codes[0][rows], *targets_in_order, out[:, rows])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(add, (slice(i, i + _POINTS) for i in range(0, len(points), _POINTS))))
    return out


@numba.njit(cache=True, nogil=True)
def _add_within(
    here: Any, cube: Any, there: Any, target_cube: Any, steps: Any, mass: Any, radii: Any, out: Any
) -> None:
    for p in range(len(here)):
        for step in steps:
            # Three cubes in a row are one range of the sorted targets.
            first = np.searchsorted(target_cube, cube[p] + step)
            end = np.searchsorted(target_cube, cube[p] + step + 2, side="right")
            for t in range(first, end):
                dx, dy, dz = here[p] - there[t]
                chord = np.sqrt(dx * dx + dy * dy + dz * dz)
                if chord > radii[-1]:
                    continue  # a chord is never longer than its arc
                km = 2 * MEAN_RADIUS_KM * np.arcsin(chord / (2 * MEAN_RADIUS_KM))
                for r in range(len(radii)):
                    if km <= radii[r]:
                        for k in range(mass.shape[1]):
                            out[r, p, k] += mass[t, k]


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
