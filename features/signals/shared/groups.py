"""Groups of rows that share a date and a code, numbered without sorting them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from features.arrays import Ints


def by_date(
    code: npt.NDArray[np.integer], date_index: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], Ints]:
    """Give a number to each group of rows of the same date and code.

    Parameters
    ----------
    code : ndarray of int, shape (n_rows,)
        Codes from -1 on; the highest should not be many times the number of codes in use.
    date_index : ndarray of int32, shape (n_rows,)
        Date of each row, from 0.

    Returns
    -------
    group : ndarray of int32, shape (n_rows,)
        ``date * n_codes + place``, with the code's place among those in use.
    codes : ndarray of int64, shape (n_codes,)
        The codes in use, ascending.

    Examples
    --------
    >>> group, codes = by_date(np.array([-1, 7, 7]), np.array([0, 0, 1], dtype=np.int32))
    >>> group.tolist(), codes.tolist()
    ([0, 1, 3], [-1, 7])
    """
    is_used = np.bincount(code + 1) > 0
    return _groups(code, date_index, np.cumsum(is_used) - 1), np.flatnonzero(is_used) - 1


@numba.njit(cache=True, nogil=True)
def _groups(code: Any, date_index: Any, place: Any) -> Any:
    group = np.empty(len(code), dtype=np.int32)
    n_codes = place[-1] + 1 if len(place) else 0
    for i in range(len(code)):
        group[i] = date_index[i] * n_codes + place[code[i] + 1]
    return group
