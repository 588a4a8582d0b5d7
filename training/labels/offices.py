"""Which office a dealer belongs to, and which signals name it.

A dealer's office is the one that inspected most there (`features.domain.home_offices`), and the
published one only where the records name none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from features.domain.home_offices import home_offices as by_visits
from features.reference import county_office

# So many rows tell how a signal varies.
_MAX_ROWS: Final = 20_000


def divisions_of(office: pd.Series) -> pd.Series:
    """Return the division of each office whose code is a published one; missing for others."""
    known = county_office().drop_duplicates("office").set_index("office")["division"]
    return office.map(known)


def home_offices(where: pd.DataFrame, visited_by: pd.Series) -> pd.Series:
    """Return the office each row belongs to.

    Parameters
    ----------
    where : DataFrame of shape (n, …)
        ``county``, ``state`` and ``office`` (the published one) of each row.
    visited_by : Series of shape (n,)
        Office that inspected the row, of whatever code; empty or missing where none did.

    Returns
    -------
    Series of shape (n,)
        Text.

    Examples
    --------
    >>> where = pd.DataFrame(
    ...     {"county": ["a", "a", "b"], "state": "TX", "office": "unknown"}
    ... )
    >>> home_offices(where, pd.Series(["O1", "", ""])).tolist()
    ['O1', 'O1', 'O1']
    """
    visits = where[["county", "state"]].assign(office=visited_by.to_numpy())
    home = by_visits(where, visits)
    return home.where(home.notna(), where["office"]).astype(str)


def share_between(X: pd.DataFrame, groups: Sequence[str] | pd.Series) -> pd.Series:
    """Return the share of each signal's variance, in ranks, that lies between groups, shape (p,).

    Missing values rank lowest: where a signal is known is a fact of the place too.

    Examples
    --------
    >>> X = pd.DataFrame({"of_state": [1.0, 1.0, 5.0, 5.0], "own": [1.0, 2.0, 1.0, 2.0]})
    >>> share_between(X, ["a", "a", "b", "b"]).round(2).to_dict()
    {'of_state': 1.0, 'own': 0.0}
    """
    rows = np.arange(len(X))
    if len(X) > _MAX_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(len(X))[:_MAX_ROWS])
    codes = pd.factorize(np.asarray(groups, dtype=str)[rows])[0]
    ranks = X.iloc[rows].rank(method="average").fillna(0.0).to_numpy(dtype=np.float64)
    size = np.bincount(codes).astype(np.float64)
    middle = ranks.mean(axis=0)
    between = np.zeros(ranks.shape[1])
    for j in range(ranks.shape[1]):
        means = np.bincount(codes, weights=ranks[:, j]) / size
        between[j] = float(size @ (means - middle[j]) ** 2)
    total = ((ranks - middle) ** 2).sum(axis=0)
    # With few rows a group, groups differ by chance: what chance gives is taken off.
    n, k = len(rows), len(size)
    by_chance = (total - between) / max(n - k, 1) * (k - 1)
    share = np.divide(
        between - by_chance, total, out=np.zeros(len(total)), where=total > 1e-9 * max(n, 1)
    )
    return pd.Series(np.maximum(share, 0.0), index=X.columns)
