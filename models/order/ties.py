"""The one order of scores: the highest first, ties by a hash of the key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.arrays import Floats, Ints
from models.errors import InputError


def order(scores: Floats, turns: Ints) -> Ints:
    """Return the rows from the highest score down; ties in the order of their turns.

    Parameters
    ----------
    scores : array of shape (n,)
    turns : array of int, shape (n,)
        Of `turns_among_ties`.

    Examples
    --------
    >>> order(np.array([1.0, 2.0]), turns_among_ties(np.array(["a", "b"]))).tolist()
    [1, 0]
    """
    _refuse_missing(scores)
    return np.lexsort((turns, -scores))


def turns_among_ties(keys: npt.NDArray[np.str_]) -> Ints:
    """Return each key's turn among rows of equal score: by a hash of the key, not the alphabet.

    A dealer number begins with its region: breaking ties by it would fill a list from one region.
    The order is the same on every machine and for any other rows beside, and favors nobody by name.
    """
    turns = np.empty(len(keys), dtype=np.int64)
    turns[np.lexsort((keys, _mixed(keys)))] = np.arange(len(keys))
    return turns


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


def _refuse_missing(scores: Floats) -> None:
    if np.isnan(scores).any():
        raise InputError(
            "A missing score has no rank.",
            found=f"{int(np.isnan(scores).sum())} missing scores",
            expected="a score for every row",
        )
