"""Which office a dealer belongs to, by who visits there.

Agencies have office codes of their own, and no listing names a dealer's office. It is the one that
visited most in the dealer's county, or else in its state.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import pandas as pd

from features.domain.office_names import is_any_of, one_spelling

# What stands for a place that is not known.
_NO_PLACE: Final = ("", "unknown")
# An agency has codes of its own where more than this share of its visits name them: a code
# mistyped now and then makes no office.
_OWN_SHARE: Final = 0.5


def home_offices(where: pd.DataFrame, visits: pd.DataFrame) -> pd.Series:
    """Return the office that visited most in each row's county, else in its state.

    Parameters
    ----------
    where : DataFrame of shape (n, …)
        ``county`` and ``state`` of each row.
    visits : DataFrame of shape (m, …)
        ``county``, ``state`` and ``office`` of visits; those without an office tell nothing.

    Returns
    -------
    Series of shape (n,)
        Text; missing where nobody visited in the state. Of equals, the first by name.

    Examples
    --------
    >>> visits = pd.DataFrame({"county": ["a", "b"], "state": "TX", "office": ["O1", None]})
    >>> home_offices(pd.DataFrame({"county": ["a", "b"], "state": "TX"}), visits).tolist()
    ['O1', 'O1']
    """
    named = one_spelling(visits["office"].astype(object))
    seen = visits[["county", "state"]].assign(office=named.where(named.notna() & (named != "")))
    seen = seen.dropna(subset="office")
    out = pd.Series(None, index=where.index, dtype=object)
    for column in ("county", "state"):
        known = seen[seen[column].notna() & ~seen[column].isin(_NO_PLACE)]
        out = out.where(out.notna(), where[column].map(_most_common(known, column)))
    return out


def has_own_offices(office: pd.Series, published: Collection[str]) -> bool:
    """Whether visits are told by office codes that are none of the published.

    >>> has_own_offices(pd.Series(["O1", "O2", "778035", None]), {"778035"})
    True
    >>> has_own_offices(pd.Series(["O1", "778035", None]), {"778035"})
    False
    """
    named = office[office.notna() & (office != "")].to_numpy(dtype=object)
    return bool(len(named)) and float((~is_any_of(named, published)).mean()) > _OWN_SHARE


def _most_common(seen: pd.DataFrame, column: str) -> pd.Series:
    counts = seen.groupby([column, "office"]).size().rename("n").reset_index()
    counts = counts.sort_values(["n", "office"], ascending=[False, True], kind="stable")
    return counts.drop_duplicates(column).set_index(column)["office"]
