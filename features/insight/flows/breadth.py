"""Which areas rest on so many dealers that their counts are no dealer's own.

A count of a county with one dealer is the record of that dealer. Whoever sees no dealer there may
have counts of areas alone that the rules of release would let out, and none from which the others
follow: what is left of a state when its counties are taken off must be as broad. What went from an
area to one market, or to one port, is held to the same: a broad county may have sent a single
firearm to a place. The own dealers' part of an area is known to whom they are, and stands for
nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import pandas as pd

from features.insight.flows.tally import MARKET, Span, Tally
from features.insight.sharing.rules import Rules
from features.reference.destinations import destination_sql
from features.reference.legal.short_time_to_crime import band_sql
from features.warehouse import Warehouse

_COLUMNS: Final = ["n_dealers", "n", "top"]


Cell = tuple[str, str]
# Last band of a short time-to-crime, as links have it.
_SHORT: Final = 2


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


def dealer_cells(
    warehouse: Warehouse, as_of: date, *, years: int, without: Collection[str] = ()
) -> pd.DataFrame:
    """Count what went from each dealer to each market, and was seized on its way to each port.

    Returns
    -------
    DataFrame
        ``state``, ``county``, ``dealer``, ``market`` (of a seizure ``port CODE``), ``is_mexico``,
        ``n``, ``n_short``.
    """
    span = Span.before(as_of, years)
    with Tally.open(warehouse, span, without) as tally:
        found = tally.frame(
            f"""
            WITH found AS (
                SELECT p.state, p.county, t.dealer, recovery_country, recovery_state, count(*) AS n,
                       count(*) FILTER ({band_sql()} <= {_SHORT}) AS n_short
                FROM (SELECT * FROM traces WHERE {span.condition}) t JOIN place p USING (dealer)
                GROUP BY ALL)
            SELECT state, county, dealer, {MARKET} AS market,
                   {destination_sql()} = 'mexico' AS is_mexico, sum(n)::BIGINT AS n,
                   sum(n_short)::BIGINT AS n_short
            FROM found GROUP BY ALL ORDER BY ALL
            """
        )
        if not tally.engine.has("seizures"):
            return found
        tally.engine.make("seizures_known")
        seized = tally.frame(
            "SELECT p.state, p.county, k.dealer, 'port ' || k.port_code AS market, FALSE AS "
            "is_mexico, count(DISTINCT k.seizure_id) AS n, 0 AS n_short FROM (SELECT * FROM "
            f"seizures_known WHERE {span.condition}) k JOIN place p USING (dealer) "
            "WHERE k.port_code IS NOT NULL GROUP BY ALL ORDER BY ALL"
        )
    return pd.concat([found, seized], ignore_index=True)


def broad_cells(
    cells: pd.DataFrame, is_own: Callable[[str], bool | None], rules: Rules, *, by: str
) -> frozenset[Cell]:
    """Return the cells of area and market that somebody may be told of.

    A cell is told where it is broad, with what was short in it and what was not; and where what is
    left of its area, and of its market, is broad and more than one cell: the smallest others are
    left out until it is. A cell of own dealers alone is told.

    Parameters
    ----------
    cells : DataFrame
        Of `dealer_cells`.
    by : {"county", "state"}
        A market's sum is over the counties of each state, or over the states.
    """
    others = cells[~cells["dealer"].map(is_own).eq(True)]
    found = others.groupby([by, "market"]).agg(
        n=("n", "sum"), n_dealers=("dealer", "nunique"), top=("n", "max")
    )
    if found.empty:
        return frozenset(_pairs(cells, by))
    by_dealer = others.groupby([by, "market", "dealer"])[["n", "n_short"]].sum()
    found["top"] = by_dealer["n"].groupby(level=[0, 1]).max()
    is_broad = _is_broad(found, rules)
    for part in (by_dealer["n_short"], by_dealer["n"] - by_dealer["n_short"]):
        sums = part.groupby(level=[0, 1])
        of = pd.DataFrame(
            {"n": sums.sum(), "n_dealers": part.gt(0).groupby(level=[0, 1]).sum(),
             "top": sums.max()}
        )  # fmt: skip
        is_broad &= of["n"].eq(0) | _is_broad(of, rules)
    told: set[Cell] = {(str(area), str(to)) for area, to in found.index[is_broad.to_numpy()]}
    state = dict(zip(others[by], others["state"], strict=True)) if by == "county" else {}
    _protect(found, told, rules, state)
    return frozenset(told | (set(_pairs(cells, by)) - set(found.index)))


def _pairs(cells: pd.DataFrame, by: str) -> list[Cell]:
    return list(cells[[by, "market"]].drop_duplicates().itertuples(index=False, name=None))


def _protect(found: pd.DataFrame, told: set[Cell], rules: Rules, state: Mapping[str, str]) -> None:
    """Leave out of `told` what would let a cell follow from the sum of its area or its market."""
    # The dealers of several cells may be the same: as many as one has are there for certain.
    sizes = found[["n", "n_dealers", "top"]].itertuples(index=False, name=None)
    size: dict[Cell, tuple[int, int, int]] = dict(zip(found.index, sizes, strict=True))
    lines: dict[tuple[str, str], list[Cell]] = {}

    def lines_of(cell: Cell) -> tuple[tuple[str, str], ...]:
        area, market = cell
        return (area, ""), (state.get(area, ""), f"to {market}")

    for cell in sorted(size, key=lambda one: (size[one][0], one)):
        for line in lines_of(cell):
            lines.setdefault(line, []).append(cell)
    # In an order of their own: two workers that left out others would tell more together.
    waiting = set(lines)
    while waiting:
        for line in sorted(waiting):
            waiting.discard(line)
            left = [cell for cell in lines[line] if cell not in told]
            spare = [cell for cell in lines[line] if cell in told]
            while left and spare and not _is_enough(left, size, rules):
                gone = spare.pop(0)
                told.discard(gone)
                left.append(gone)
                waiting.update(lines_of(gone))


def _is_enough(left: list[Cell], size: dict[Cell, tuple[int, int, int]], rules: Rules) -> bool:
    n = sum(size[cell][0] for cell in left)
    n_dealers = max(size[cell][1] for cell in left)
    top = sum(size[cell][2] for cell in left)
    is_broad = n >= rules.min_firearms and n_dealers >= rules.min_dealers
    return len(left) > 1 and is_broad and top <= rules.max_dealer_share * n


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
    # What own dealers add is known to whom they are, and can be taken off.
    n = counts["n"].where(own.ne(True), 0)
    told = counts.assign(is_other=own.eq(False), is_own=own.eq(True), is_seller=n > 0, n=n, top=n)
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
