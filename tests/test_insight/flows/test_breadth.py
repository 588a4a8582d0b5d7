"""Counts of areas that rest on few dealers are told to nobody from elsewhere."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from features.insight.flows.breadth import (
    broad_areas,
    broad_cells,
    dealer_cells,
    dealer_counts,
)
from features.insight.flows.follow import follow
from features.insight.flows.subject import subject_of
from features.insight.sharing.rules import rules_on
from tests.simulated import AS_OF, Simulated

RULES = rules_on(date(2026, 1, 1))
ROWS = {
    "48001": [5, 5, 5],  # broad
    "48003": [40, 40, 40, 40],
    "48005": [100],  # one dealer
    "48007": [99, 1, 1],  # dominated
    "48009": [2, 2, 2],  # few firearms
    "48011": [0, 0],
    "06001": [9, 9, 9],
    "06003": [50],
    "50001": [7],
}
STATE = {"48": "TX", "06": "CA", "50": "VT"}


def counts(rows: dict[str, list[int]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"state": STATE[county[:2]], "county": county, "dealer": f"{county}-{i}", "n": n}
            for county, found in rows.items()
            for i, n in enumerate(found)
        ]
    )


def shown(rows: dict[str, list[int]], *own: str) -> tuple[set[str], set[str]]:
    """Return what is told to whoever has some counties; the first dealer has no score."""

    def is_own(dealer: str) -> bool | None:
        return None if dealer == "48003-0" else dealer[:5] in own

    found = broad_areas(counts(rows), is_own, RULES)
    return set(found.counties), set(found.states)


def test_only_what_rests_on_enough_dealers_is_told() -> None:
    # Those left out of Texas are broad together; in California 06001 must be left out beside the
    # one dealer of 06003, and California beside the one dealer of Vermont.
    assert shown(ROWS) == ({"48001", "48003"}, {"TX"})
    assert shown({county: ROWS[county] for county in ROWS if county[:2] == "06"}) == (
        set(), {"CA"},
    )  # fmt: skip


def test_the_own_area_is_told_whatever_it_rests_on() -> None:
    counties, states = shown(ROWS, "48005", "50001")
    assert {"48005", "50001"} <= counties
    assert "VT" in states


def test_what_is_left_of_a_state_is_told_of_nobody() -> None:
    rows = {"48001": [5, 5, 5], "48003": [40, 40, 40, 40], "48005": [30]}
    # Taken off the state, 48001 and 48003 would leave the one dealer of 48005.
    assert shown(rows) == ({"48003"}, {"TX"})
    assert shown(rows | {"48005": [500]})[1] == set()


@pytest.mark.parametrize("seed", range(20))
def test_no_sum_less_others_is_that_of_few(seed: int) -> None:
    draw = pd.Series(range(400)).sample(400, random_state=seed, replace=True).to_numpy()
    rows = {
        f"48{c:03d}": [int(n) for n in draw[9 * c : 9 * c + 1 + int(draw[9 * c]) % 5]]
        for c in range(30)
    }
    told, states = shown(rows, "48000")
    left = [n for county, found in rows.items() if county not in told for n in found if n]
    if "TX" in states and left:
        assert len(left) >= RULES.min_dealers
        assert sum(left) >= RULES.min_firearms
        assert max(left) <= RULES.max_dealer_share * sum(left)
    for county in told - {"48000"}:
        assert sum(n > 0 for n in rows[county]) >= RULES.min_dealers


def test_dealers_are_counted_as_their_county_is(simulated: Simulated) -> None:
    found = dealer_counts(simulated.warehouse, AS_OF, years=5)
    by_county = found.groupby("county")["n"].sum()
    county = str(by_county.idxmax())
    flow = follow(simulated.warehouse, subject_of(county), AS_OF, years=5)
    assert flow.n_traces == by_county[county] > 0
    assert found["dealer"].is_unique
    without = [str(d) for d in found.loc[found["county"] == county, "dealer"]]
    left = dealer_counts(simulated.warehouse, AS_OF, years=5, without=without)
    assert county not in set(left["county"])


def test_what_own_dealers_add_does_not_make_an_area_broad() -> None:
    """Whoever has all but one dealer of a county takes the own off, and has the one."""
    county = {"48001": [50, 50, 50, 8]}

    def is_own(dealer: str) -> bool:
        return dealer != "48001-3"

    table = pd.concat([counts(county), counts({"48003": [40, 40, 40]})])
    found = broad_areas(table, is_own, RULES)
    assert "48001" not in found.counties
    table = pd.concat([counts({"48001": [50, 50, 50, 8, 9, 9]}), counts({"48003": [40, 40, 40]})])

    def are_own(dealer: str) -> bool:
        return dealer in {"48001-0", "48001-1", "48001-2"}

    assert "48001" in broad_areas(table, are_own, RULES).counties


def cells_of(table: dict[tuple[str, str], list[int]], n_short: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"state": "TX", "county": county, "market": market, "dealer": f"{county}-{i}", "n": n,
             "n_short": min(n_short, n), "is_mexico": False}
            for (county, market), found in table.items()
            for i, n in enumerate(found)
            if n
        ]
    )  # fmt: skip


BROAD = [20, 20, 20]


def told_cells(table: pd.DataFrame, *own: str) -> set[tuple[str, str]]:
    return set(broad_cells(table, lambda dealer: dealer in own, RULES, by="county"))


def test_a_single_firearm_of_a_broad_county_is_told_to_nobody_from_elsewhere() -> None:
    table = {
        ("A", "SON"): [1], ("A", "TX"): BROAD, ("A", "AZ"): BROAD, ("B", "SON"): BROAD,
        ("B", "TX"): BROAD, ("B", "AZ"): BROAD, ("C", "SON"): BROAD, ("C", "TX"): BROAD,
        ("C", "AZ"): BROAD,
    }  # fmt: skip
    found = told_cells(cells_of(table))
    assert ("A", "SON") not in found
    assert len(found) >= 4  # the others are not all given up for it
    for side in (0, 1):  # neither the county's sum nor the market's gives it away
        for name in {cell[side] for cell in table}:
            left = [cell for cell in table if cell[side] == name and cell not in found]
            assert len(left) != 1, (name, left)
    assert ("A", "SON") in told_cells(cells_of(table), "A-0", "A-1", "A-2")


def test_what_was_short_of_a_cell_is_held_to_the_same() -> None:
    table = {(a, m): BROAD for a in "AB" for m in ("SON", "TX")}
    assert told_cells(cells_of(table)) == set(table)
    assert told_cells(cells_of(table, n_short=10)) == set(table)
    assert told_cells(cells_of(table, n_short=1)) == set()  # three short ones
    assert told_cells(cells_of(table, n_short=19)) == set()  # three that are not


@pytest.mark.parametrize("seed", range(10))
def test_no_line_less_what_is_told_of_it_is_a_cell_of_few(seed: int) -> None:
    draw = iter(
        pd.Series([0, 1, 2, 5, 9, 20, 60]).sample(2_000, random_state=seed, replace=True).tolist()
    )
    table = {
        (f"{a:05d}", f"M{m}"): [next(draw) for _ in range(5)] for a in range(9) for m in range(7)
    }
    found = told_cells(cells_of(table))
    for side in (0, 1):
        for name in {cell[side] for cell in table}:
            line = [cell for cell in table if cell[side] == name and any(table[cell])]
            left = [cell for cell in line if cell not in found]
            if left and len(left) < len(line):
                assert len(left) > 1
                assert sum(sum(table[cell]) for cell in left) >= RULES.min_firearms
    for cell in found:
        assert sum(table[cell]) >= RULES.min_firearms
        assert sum(n > 0 for n in table[cell]) >= RULES.min_dealers


def test_cells_add_up_to_what_dealers_have(simulated: Simulated) -> None:
    cells = dealer_cells(simulated.warehouse, AS_OF, years=5)
    traced = cells[~cells["market"].str.startswith("port ")]
    found = dealer_counts(simulated.warehouse, AS_OF, years=5).set_index("dealer")["n"]
    sums = traced.groupby("dealer")["n"].sum()
    assert (found[found > 0].sort_index() == sums.sort_index()).all()
    flow = follow(simulated.warehouse, subject_of("TX"), AS_OF, years=5)
    texan = cells[cells["state"] == "TX"].groupby(["county", "market"])[["n", "n_short"]].sum()
    for one in flow.links:
        if one.kind in {"source to market", "source to port"} and one.source.isdigit():
            n, n_short = texan.loc[(one.source, one.target)]
            assert (one.n, one.n_short) == (n, n_short), one
