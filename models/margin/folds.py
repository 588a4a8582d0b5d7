"""Deal rows into folds, or tell that they are too few for it."""

from __future__ import annotations

from typing import Final

import numpy as np

from features.arrays import Floats, Ints
from models.linear import Family
from models.margin.settings import Settings

# Fewer rows of either class, or fewer rows at all, and no tree is grown.
_MIN_CLASS: Final = 10
MIN_ROWS: Final = 60


def deal(y: Floats, groups: Ints | None, n_folds: int, seed: int) -> Ints:
    """Deal rows into folds, groups whole, positives evenly.

    Counts are dealt there and back: dealt in order without turning, the first fold had the largest
    of each round.

    >>> deal(np.array([1.0, 0, 0, 1]), None, 2, 0).tolist() in ([0, 0, 1, 1], [0, 1, 0, 1],
    ...     [1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [0, 0, 1, 1])
    True
    """
    owner = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total = np.bincount(owner, weights=y)
    size = np.bincount(owner)
    jitter = np.random.default_rng(seed).permutation(len(total))
    order = np.lexsort((jitter, -size, -total))
    place = np.arange(len(total)) % n_folds
    if len(y) and y.max() > 1:
        is_back = np.arange(len(total)) // n_folds % 2 == 1
        place = np.where(is_back, n_folds - 1 - place, place)
    fold = np.empty(len(total), dtype=np.int64)
    fold[order] = place
    return fold[owner]


def n_rare(y: Floats, family: Family) -> int:
    """Return how many rows the rarer class has, or how many counts are positive."""
    positive = int((y > 0).sum())
    return min(positive, len(y) - positive) if family == "binary" else positive


def n_folds_of(y: Floats, groups: Ints | None, settings: Settings) -> int:
    """Return into how many folds rows can be dealt with each class in all; 1: not at all."""
    rare = n_rare(y, settings.family)
    if len(y) < MIN_ROWS or rare < _MIN_CLASS:
        return 1
    n_folds = settings.folds(len(y))
    if groups is not None:
        n_folds = min(n_folds, len(np.unique(groups[y > 0])))
        if settings.family == "binary":
            n_folds = min(n_folds, len(np.unique(groups[y <= 0])))
    return n_folds
