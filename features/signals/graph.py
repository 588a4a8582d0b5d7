"""Dealers that share purchasers: components, degree and mass, as of one window.

The graph has dealers on one side and purchaser tokens on the other; a token that only one dealer
has seen joins nobody and is left out before any product is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SharedPurchasers:
    """What each dealer shares with others; arrays of shape (n_dealers,).

    Parameters
    ----------
    degree : ndarray of int
        Other dealers that share at least one purchaser token.
    component : ndarray of int
        Dealers in the dealer's component, itself included; 1 when it shares with nobody.
    label : ndarray of int
        Label of the component.
    n_shared : ndarray of int
        Tokens of the dealer that another dealer has too.
    is_shared : ndarray of bool, shape (n_pairs,)
        For each (dealer, token) row given, whether another dealer has the token.
    """

    degree: Ints
    component: Ints
    label: Ints
    n_shared: Ints
    is_shared: npt.NDArray[np.bool_]


def share_purchasers(dealer: Ints, token: Ints, n_dealers: int) -> SharedPurchasers:
    """Join dealers through the purchaser tokens they have in common.

    Parameters
    ----------
    dealer, token : ndarray of int, shape (n_pairs,)
        One row an event; codes of dealer in ``[0, n_dealers)`` and of token.
    n_dealers : int
        How many dealers there are.
    """
    n_tokens = int(token.max(initial=-1)) + 1
    key = pd.unique(dealer * max(n_tokens, 1) + token)
    seller, bought = np.divmod(key, max(n_tokens, 1))
    is_shared_token = np.bincount(bought, minlength=n_tokens) > 1
    is_kept = is_shared_token[bought]
    seller, bought = seller[is_kept], bought[is_kept]
    ones = np.ones(len(seller))
    incidence = sparse.csr_array((ones, (seller, bought)), shape=(n_dealers, n_tokens))
    joined = sparse.csr_array(incidence @ incidence.T)
    n_joined = np.diff(joined.indptr)
    degree = np.maximum(n_joined - 1, 0)  # a dealer that shares is joined to itself
    _, label = csgraph.connected_components(joined, directed=False)
    size = np.bincount(label, minlength=n_dealers)[label]
    n_shared = np.bincount(seller, minlength=n_dealers)
    return SharedPurchasers(
        degree=degree.astype(np.int64),
        component=size.astype(np.int64),
        label=label.astype(np.int64),
        n_shared=n_shared.astype(np.int64),
        is_shared=is_shared_token[token] if len(token) else np.zeros(0, dtype=bool),
    )


def mass_of_others(label: Ints, mass: Floats) -> Floats:
    """Sum of `mass` over the other members of each dealer's component, shape (n,)."""
    total = np.bincount(label, weights=mass, minlength=int(label.max(initial=-1)) + 1)
    return np.asarray(total[label] - mass)


@numba.njit(cache=True, nogil=True)
def concentrations(
    start: Ints,
    life: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    cell: Ints,
    as_of: npt.NDArray[np.int32],
    window: int,
) -> tuple[Floats, Ints]:
    """Herfindahl index of each dealer's events over cells, as of each date.

    The sum of squared shares: 1 when every event falls in one cell, 1/k when k cells share them
    evenly.

    Parameters
    ----------
    start : ndarray of int, shape (n_dealers + 1,)
        Where each dealer's events begin and end.
    life : tuple of ndarray of int32, each of shape (n_events,)
        Days since 1970 on which each event was known, ascending a dealer, and superseded.
    cell : ndarray of int, shape (n_events,)
        Cell of each event, counted from 0 for each dealer.
    as_of : ndarray of int32, shape (n_dates,)
        The dates.
    window : int
        Days within which events count.

    Returns
    -------
    index : ndarray of float64, shape (n_dealers, n_dates)
        NaN for a dealer without events.
    n_events : ndarray of int, shape (n_dealers, n_dates)
    """
    known, superseded = life
    n, m = len(start) - 1, len(as_of)
    index = np.full((n, m), np.nan)
    n_events = np.zeros((n, m), np.int64)
    count = np.zeros(cell.max() + 1 if len(cell) else 1, np.int64)
    for dealer in range(n):
        for j in range(m):
            when = as_of[j]
            squares = 0
            for row in range(start[dealer], start[dealer + 1]):
                if known[row] >= when:
                    break
                if superseded[row] >= when and known[row] >= when - window:
                    # (c + 1)^2 - c^2: exact in whole numbers, in any order.
                    squares += 2 * count[cell[row]] + 1
                    count[cell[row]] += 1
                    n_events[dealer, j] += 1
            for row in range(start[dealer], start[dealer + 1]):
                count[cell[row]] = 0
            if n_events[dealer, j]:
                index[dealer, j] = squares / np.float64(n_events[dealer, j]) ** 2
    return index, n_events
