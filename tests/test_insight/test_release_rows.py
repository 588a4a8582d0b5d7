"""Which rows a release has tells nothing of what occurred in its quarter."""

from __future__ import annotations

import pandas as pd
import pytest

from features.engine.embedded import EmbeddedEngine
from features.insight.sharing.bound_cells import System
from features.insight.sharing.rules import release_day, rules_on
from features.insight.sharing.tables import (
    Groups,
    groups_of,
    seizures_of,
    system_of,
    traces_of,
)
from features.reference.geography.places import states
from tests.simulated import Simulated


@pytest.fixture(scope="module")
def year(simulated: Simulated) -> tuple[Groups, list[System]]:
    """The cells of a year's quarters, and of one in which nothing was traced."""
    made = []
    groups: Groups | None = None
    with EmbeddedEngine(simulated.warehouse) as engine:
        for name in ("2023Q1", "2023Q2", "2023Q3"):
            rows, seized = traces_of(engine, name), seizures_of(engine, name)
            groups = groups or groups_of(rows, seized, rules_on(release_day(name)))
            made.append(system_of(rows, seized, groups))
        made.append(system_of(rows.iloc[:0], seized.iloc[:0], groups))
    return groups, made


def test_quarters_of_a_year_have_the_same_rows_whatever_occurred(
    year: tuple[Groups, list[System]],
) -> None:
    """A row that is there only where firearms were traced tells none from at least one."""
    groups, made = year
    first = [cell.key for cell in made[0].cells]
    for system in made:
        system.check()
        assert [cell.key for cell in system.cells] == first
    every = set(states()["state"])
    rows = {name: {row for table, row, _ in first if table == name} for name, _, _ in first}
    assert rows["corridors"] == every | {"all"}
    named = {f"{part} {state}" for part in ("all of", "rest of") for state in every}
    assert rows["counties"] == named | set(groups.counties)
    assert len(groups.counties) > 3
    sources = {lane.split(" to ")[0] for lane in rows["outbound"]}
    assert sources == {"AZ", "CA", "NM", "TX", "other states", "any state"}


def test_none_of_a_state_is_hidden_as_few_are(year: tuple[Groups, list[System]]) -> None:
    rules = rules_on(release_day("2023Q1"))
    empty = [cell for cell in year[1][0].cells if cell.n == 0]
    assert any(cell.key[0] == "corridors" and cell.key[2] == "all" for cell in empty)
    assert not any(cell.is_safe(rules) for cell in empty)


def test_a_county_is_named_in_its_own_state_alone() -> None:
    rows = pd.DataFrame(
        [("1-10-00000", "TX", "48201", 40), ("1-10-00001", "OK", "48201", 7),
         ("1-10-00002", "OK", None, 3)],
        columns=["dealer", "state", "county", "n"],
    ).assign(market="", destination="domestic", **{"class": "handgun"})  # fmt: skip
    seized = pd.DataFrame({name: pd.Series(dtype=object) for name in ("dealer", "port", "class")})
    system = system_of(rows, seized.assign(n=0), Groups((), ("48201", "99999"), ()))
    system.check()
    found = {cell.key: cell.n for cell in system.cells if cell.n and cell.key[0] == "counties"}
    assert found == {
        ("counties", "48201", "other"): 40, ("counties", "all of TX", "other"): 40,
        ("counties", "rest of OK", "other"): 10, ("counties", "all of OK", "other"): 10,
    }  # fmt: skip
