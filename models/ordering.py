"""Ranks, percentiles and lists in which ties are treated openly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from models.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_METHODS: Final = {"best": "min", "worst": "max", "middle": "average"}


def rank(scores: Floats, *, ties: str = "best") -> Floats:
    """Rank scores, the highest first: 1 is the top.

    Parameters
    ----------
    scores : array of shape (n,)
    ties : {"best", "worst", "middle"}
        What tied scores get: the best of their ranks, the worst, or the mean.

    Examples
    --------
    >>> rank(np.array([3.0, 9.0, 3.0]))
    array([2., 1., 2.])
    >>> rank(np.array([3.0, 9.0, 3.0]), ties="middle")
    array([2.5, 1. , 2.5])
    """
    _refuse_missing(scores)
    return np.asarray(rankdata(-scores, method=_METHODS[ties]), dtype=np.float64)


def percentile(scores: Floats) -> Floats:
    """Return the share of *other* rows with a lower score, ties counting half, 0 to 100.

    Examples
    --------
    >>> percentile(np.array([1.0, 2.0, 3.0]))
    array([  0.,  50., 100.])
    """
    _refuse_missing(scores)
    if len(scores) < 2:
        return np.full(len(scores), 50.0)
    return np.asarray(100.0 * (rankdata(scores, method="average") - 1.0) / (len(scores) - 1))


def order(scores: Floats, keys: npt.NDArray[np.str_]) -> Ints:
    """Return the rows from the highest score down; ties by a hash of the key, not the alphabet.

    A dealer number begins with its region: breaking ties by it would fill a list from one region.
    The order among ties is fixed for a set of keys and favors nobody by name.

    Examples
    --------
    >>> order(np.array([1.0, 2.0]), np.array(["a", "b"])).tolist()
    [1, 0]
    """
    _refuse_missing(scores)
    return np.lexsort((keys, _mixed(keys), -scores))


def _mixed(keys: npt.NDArray[np.str_]) -> npt.NDArray[np.uint64]:
    """Hash texts with FNV-1a over their code points, all rows at once."""
    text = np.asarray(keys, dtype=np.str_)
    width = max(text.dtype.itemsize // 4, 1)
    points = np.frombuffer(text.astype(f"<U{width}").tobytes(), dtype="<u4").reshape(-1, width)
    hashed = np.full(len(text), 14695981039346656037, dtype=np.uint64)
    for k in range(width):
        # The padding of shorter texts changes nothing, so the hash is that of the text alone.
        mixed = (hashed ^ points[:, k].astype(np.uint64)) * np.uint64(1099511628211)
        hashed = np.where(points[:, k] > 0, mixed, hashed)
    return np.asarray(hashed ^ (hashed >> np.uint64(31)))


@dataclass(frozen=True)
class Taken:
    """How much of a list's capacity each row takes up.

    Parameters
    ----------
    is_certain : array of bool, shape (n,)
        On the list however ties are broken.
    is_tied : array of bool, shape (n,)
        At the boundary, tied with rows that do not fit.
    share_tied : float
        Chance of each tied row.
    """

    is_certain: npt.NDArray[np.bool_]
    is_tied: npt.NDArray[np.bool_]
    share_tied: float

    @property
    def chance(self) -> Floats:
        """Chance of each row to be on the list when ties are broken at random."""
        return np.asarray(self.is_certain + self.share_tied * self.is_tied)


def take(scores: Floats, capacity: int) -> Taken:
    """Take the `capacity` highest scores.

    Examples
    --------
    >>> take(np.array([5.0, 1.0, 1.0]), 2).chance
    array([1. , 0.5, 0.5])
    """
    _refuse_missing(scores)
    if capacity <= 0 or not len(scores):
        none = np.zeros(len(scores), dtype=bool)
        return Taken(none, none, 0.0)
    if capacity >= len(scores):
        return Taken(np.ones(len(scores), dtype=bool), np.zeros(len(scores), dtype=bool), 0.0)
    boundary = float(np.partition(scores, len(scores) - capacity)[len(scores) - capacity])
    above, tied = scores > boundary, scores == boundary
    left = capacity - int(above.sum())
    if left == int(tied.sum()):
        return Taken(above | tied, np.zeros(len(scores), dtype=bool), 0.0)
    return Taken(above, tied, left / int(tied.sum()))


def _refuse_missing(scores: Floats) -> None:
    if np.isnan(scores).any():
        raise InputError(
            "A missing score has no rank.",
            found=f"{int(np.isnan(scores).sum())} missing scores",
            expected="a score for every row",
        )
