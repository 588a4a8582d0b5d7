"""Which areas rest on so many dealers that their counts are no dealer's own.

A count of a county with one dealer is the record of that dealer. Whoever sees no dealer there may
have counts of areas alone that the rules of release would let out, and none from which the others
follow: what is left of a state when its counties are taken off must be as broad.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import Final

import pandas as pd

from features.insight.flows.tally import Span, Tally
from features.insight.sharing.rules import Rules
from features.warehouse import Warehouse

_COLUMNS: Final = ["n_dealers", "n", "top"]


@dataclass(frozen=True)
class BroadAreas:
    """The counties and states whose counts may be told."""

    counties: frozenset[str]
    states: frozenset[str]


def dealer_counts(
    warehouse: Warehouse, as_of: date, *, years: int, without: Collection[str] = ()
) -> pd.DataFrame:
    """Count the traces of each dealer over some years before a date.

    Returns
    -------
    DataFrame
        ``state``, ``county``, ``dealer``, ``n``; dealers without a trace are in it.
    """
    span = Span.before(as_of, years)
    with Tally.open(warehouse, span, without) as tally:
        return tally.frame(
            "SELECT p.state, p.county, p.dealer, count(t.dealer) AS n FROM place p LEFT JOIN "
            f"(SELECT dealer FROM traces WHERE {span.condition}) t USING (dealer) GROUP BY ALL"
        )


def broad_areas(
    counts: pd.DataFrame, is_own: Callable[[str], bool | None], rules: Rules
) -> BroadAreas:
    """Return the areas that somebody may be told of.

    Parameters
    ----------
    counts : DataFrame
        Of `dealer_counts`.
    is_own : callable
        Whether a dealer is within the own area; None where nobody knows. An area of own dealers
        alone is told whatever it rests on.
    rules : Rules
        What a cell must meet to be published.
    """
    own = counts["dealer"].map(is_own)
    told = counts.assign(
        is_other=own.eq(False), is_own=own.eq(True), is_seller=counts["n"] > 0, top=counts["n"]
    )
    counties = _summed(told, ["state", "county"])
    states = _summed(told, ["state"])
    shown: set[str] = set()
    for state, part in counties.groupby(level="state"):
        found = _told(part.droplevel("state"), rules)
        if found is None:  # then the sum of the state is not told either
            states.loc[state, _COLUMNS] = 0
            found = _alone(part.droplevel("state"), rules)
        shown |= found
    of_nation = _told(states, rules)
    if of_nation is None:
        of_nation = _alone(states, rules)
    return BroadAreas(frozenset(shown), frozenset(of_nation))


def _summed(told: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    found = told.groupby(by).agg(
        n_dealers=("is_seller", "sum"), n=("n", "sum"), top=("top", "max"),
        has_other=("is_other", "any"), has_own=("is_own", "any"),
    )  # fmt: skip
    return found.assign(is_own=found["has_own"] & ~found["has_other"])


def _is_broad(areas: pd.DataFrame, rules: Rules) -> pd.Series:
    return (
        (areas["n"] >= rules.min_firearms)
        & (areas["n_dealers"] >= rules.min_dealers)
        & (areas["top"] <= rules.max_dealer_share * areas["n"])
    )


def _alone(areas: pd.DataFrame, rules: Rules) -> set[str]:
    """Return the areas that may be told one by one, where no sum of them is."""
    return set(map(str, areas.index[areas["is_own"] | _is_broad(areas, rules)]))


def _told(areas: pd.DataFrame, rules: Rules) -> set[str] | None:
    """Return the areas that may be told beside their sum, None when nothing makes the rest broad.

    The smallest of the others is left out until those left out are broad together.
    """
    shown = _alone(areas, rules)
    others = areas[~areas["is_own"]].sort_values("n")
    spare = [str(area) for area in others.index if str(area) in shown]
    while True:
        left = areas[~areas.index.isin(list(shown))]
        rest = pd.DataFrame(
            {"n": [left["n"].sum()], "n_dealers": [left["n_dealers"].sum()],
             "top": [left["top"].max()]}
        )  # fmt: skip
        if left.empty or bool(_is_broad(rest, rules).iloc[0]):
            return shown
        if not spare:
            return None
        shown.discard(spare.pop(0))
