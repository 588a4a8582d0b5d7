"""The compiled kernel behind the nearest point of a line: apart, because numba is slow to load."""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

RUN: Final = 64  # points of a line that are looked at, or passed over, together


@numba.njit(cache=True, nogil=True)  # pragma: no cover - compiled
def closest(points: Any, targets: Any, centers: Any, reach: Any) -> Any:
    """Position of the target nearest to each point, by the straight line; shape (n,).

    A k-d tree must look at most of a line when the point is far from all of it. A run whose every
    point is farther than one already seen is passed over instead.
    """
    nearest = np.empty(len(points), dtype=np.int64)
    away = np.empty(len(centers))
    for p in range(len(points)):
        x, y, z = points[p]
        best = np.inf
        for r in range(len(centers)):
            dx, dy, dz = x - centers[r, 0], y - centers[r, 1], z - centers[r, 2]
            away[r] = np.sqrt(dx * dx + dy * dy + dz * dz)
            best = min(best, away[r] + reach[r])
        best *= best * (1 + 1e-12)
        for r in range(len(centers)):
            if away[r] > reach[r] and (away[r] - reach[r]) ** 2 > best:
                continue
            for t in range(r * RUN, min((r + 1) * RUN, len(targets))):
                dx, dy, dz = x - targets[t, 0], y - targets[t, 1], z - targets[t, 2]
                square = dx * dx + dy * dy + dz * dz
                if square < best:
                    best = square
                    nearest[p] = t
    return nearest
