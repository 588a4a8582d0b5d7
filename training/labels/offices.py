"""Which office a dealer belongs to, and which signals name it.

Agencies have office codes of their own. A dealer's office is the one that inspected most in its
county (its state, where nobody was inspected in the county), and the published one only where the
records name none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from features.reference import county_office
from training.labels.cohort import UNKNOWN

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
    office = visited_by.astype("object").where(visited_by.fillna("") != "")
    seen = where[["county", "state"]].assign(visited=office.to_numpy()).dropna(subset="visited")
    out = pd.Series(np.nan, index=where.index, dtype=object)
    for column in ("county", "state"):
        usual = _most_common(seen[seen[column] != UNKNOWN], column)
        out = out.where(out.notna(), where[column].map(usual))
    return out.where(out.notna(), where["office"]).astype(str)


def _most_common(seen: pd.DataFrame, column: str) -> pd.Series:
    """Return the office that inspected most in each place; by name among equals."""
    counts = seen.groupby([column, "visited"]).size().rename("n").reset_index()
    counts = counts.sort_values(["n", "visited"], ascending=[False, True], kind="stable")
    return counts.drop_duplicates(column).set_index(column)["visited"]


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
