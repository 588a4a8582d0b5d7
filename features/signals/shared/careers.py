"""The walk over a dealer's listings: where it stands as of each date, and what changed before.

One pass a dealer over its rows sorted by ``listed_on``; a row is in force as of ``T`` when
``known_on < T <= superseded_on``. A listing that came in late (known after a newer one) takes its
place in the order of listings from the day it is known, and not before.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np
import numpy.typing as npt

from features.arrays import Ints

Days = npt.NDArray[np.int32]
# A renewal gives three years. An expiry that moves by less is another spelling of the same: a month
# read as its first or its last day, or two sources that differ.
LEAST_RENEWAL: Final = 180


@numba.njit(cache=True)
def walk_listings(
    offsets: Ints,
    known: Days,
    superseded: Days,
    changing: tuple[Days, Ints],
    as_of: Days,
    window: int,
) -> tuple[Ints, Ints, Ints, Ints]:
    """Walk the listings of every dealer for every date.

    Parameters
    ----------
    offsets : ndarray of int, shape (n_dealers + 1,)
        Where each dealer's rows begin and end.
    known, superseded : ndarray of int32, shape (n_rows,)
        Days since 1970; rows sorted by dealer, ``listed_on`` and ``known_on``.
    changing : tuple of ndarray
        ``expires_on`` (days, negative where unknown) and the code of the premises (-1 unknown).
    as_of : ndarray of int32, shape (n_dates,)
        The dates.
    window : int
        Days within which moves count.

    Returns
    -------
    first, last : ndarray of int, shape (n_dealers, n_dates)
        Rows of the first and the last listing in force, -1 where there is none.
    renewals : ndarray of int, shape (n_dealers, n_dates)
        How often the expiry moved beyond the latest one listed before by `LEAST_RENEWAL` days.
    moves : ndarray of int, shape (n_dealers, n_dates)
        How often the premises changed, within the window.
    """
    expires, premises = changing
    n, m = len(offsets) - 1, len(as_of)
    first = np.full((n, m), -1, np.int64)
    last = np.full((n, m), -1, np.int64)
    renewals = np.zeros((n, m), np.int64)
    moves = np.zeros((n, m), np.int64)
    for dealer in range(n):
        for j in range(m):
            when = as_of[j]
            expiry, place = np.int64(-1), np.int64(-1)
            for row in range(offsets[dealer], offsets[dealer + 1]):
                if known[row] >= when or superseded[row] < when:
                    continue
                if first[dealer, j] < 0:
                    first[dealer, j] = row
                last[dealer, j] = row
                if expires[row] >= 0:
                    if expiry >= 0 and expires[row] >= expiry + LEAST_RENEWAL:
                        renewals[dealer, j] += 1
                    expiry = max(expiry, np.int64(expires[row]))
                if premises[row] >= 0:
                    if place >= 0 and premises[row] != place and known[row] >= when - window:
                        moves[dealer, j] += 1
                    place = premises[row]
    return first, last, renewals, moves
