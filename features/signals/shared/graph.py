"""Dealers that share purchasers: components, degree and mass, as of one window.

The graph has dealers on one side and purchaser tokens on the other; a token that only one dealer
has seen joins nobody and is left out before any product is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from features.arrays import Floats, Ints


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
