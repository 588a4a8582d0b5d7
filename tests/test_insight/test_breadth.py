"""Counts of areas that rest on few dealers are told to nobody from elsewhere."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from features.insight.flows.breadth import broad_areas, dealer_counts
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
