"""Dealers belong to the offices of the agency's own codes, where its visits name such."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.domain.home_offices import has_own_offices, home_offices
from features.ingest import ingest
from features.warehouse import Warehouse
from serving.access.people import inspectors_of
from serving.scores.table.dealer_facts import dealer_facts
from tests.test_features.ingest_samples import TODAY, row, write
from training.labels.dated_labels import inspections

HARRIS, DALLAS, PIMA = "48201", "48113", "04019"
PLACES = {HARRIS: ("TX", "77002"), DALLAS: ("TX", "75201"), PIMA: ("AZ", "85701")}


def facts_of(tmp_path, visits: list[tuple[str, str]]) -> dict[str, str]:
    """Return the office of four dealers, of whom some were visited by some offices."""
    dealers = {"5-74-90001": HARRIS, "5-74-90002": HARRIS, "5-75-90003": DALLAS, "9-86-90004": PIMA}
    listed = [
        row(
            "licenses", dealer=dealer, license_number="", county_fips=county, latitude="",
            longitude="", premises_state=PLACES[county][0], premises_zip=PLACES[county][1],
            mail_zip="",
        )
        for dealer, county in dealers.items()
    ]  # fmt: skip
    visited = [
        row("inspections", inspection_id=f"I{n}", dealer=dealer, office=office)
        for n, (dealer, office) in enumerate(visits)
    ]
    files = [write(tmp_path, "licenses.csv", listed)]
    files += [write(tmp_path, "inspections.csv", visited)] if visited else []
    ingest(files, tmp_path / "w", today=TODAY)
    keys = np.array(list(dealers), dtype=object)
    facts = dealer_facts(Warehouse.open(tmp_path / "w"), keys, TODAY)
    return dict(zip(facts["dealer"], facts["office"], strict=True))


def test_own_codes_take_the_place_of_the_published(tmp_path):
    """They stood in the training alone: no list, plan or account could name such an office."""
    visits = [("5-74-90001", "SOUTH"), ("5-74-90001", "NORTH"), ("5-74-90002", "SOUTH")]
    offices = facts_of(tmp_path, visits)
    # By county; by state where nobody came to the county; none where nobody came to the state.
    assert offices == {
        "5-74-90001": "SOUTH", "5-74-90002": "SOUTH", "5-75-90003": "SOUTH", "9-86-90004": "",
    }  # fmt: skip


@pytest.mark.parametrize("visits", [[], [("5-74-90001", "782075"), ("5-74-90002", "782O75")]])
def test_published_codes_are_those_of_the_county_whoever_came_by(tmp_path, visits):
    """A code mistyped in half of the visits makes no office."""
    offices = facts_of(tmp_path, visits)
    assert "" not in offices.values()
    assert len(set(offices.values())) == 3
    assert all(office.isdigit() for office in offices.values())


def test_what_is_known_later_moves_no_office(tmp_path):
    facts_of(tmp_path, [("5-74-90001", "SOUTH")])
    warehouse = Warehouse.open(tmp_path / "w")
    keys = np.array(["5-74-90001"], dtype=object)
    # The visit was closed in March 2025, after the day asked for; the listing came later too.
    assert dealer_facts(warehouse, keys, date(2025, 3, 1))["office"].tolist() == [""]


def test_of_equals_the_first_by_name_and_no_place_is_no_place():
    visits = pd.DataFrame({
        "county": ["a", "a", "unknown", ""], "state": ["TX", "TX", "unknown", ""],
        "office": ["B", "A", "C", "C"],
    })  # fmt: skip
    where = pd.DataFrame({"county": ["a", "unknown", ""], "state": ["TX", "unknown", ""]})
    home = home_offices(where, visits)
    assert home[0] == "A"
    assert home[1:].isna().all()
    assert not has_own_offices(visits["office"].iloc[:0], {"A"})


def test_spellings_of_one_name_are_one_office(tmp_path):
    visits = [("5-74-90001", name) for name in ("AB North", "ab north", "AB  NORTH", "AB North")]
    offices = facts_of(tmp_path, [*visits, ("5-75-90003", "South")])
    assert offices["5-74-90001"] == "AB North"
    # Three visits by one office stand against two by another.
    visits = [("5-74-90001", name) for name in ("C", "C", "South", "SOUTH", "south")]
    assert facts_of(tmp_path / "again", visits)["5-74-90002"] == "SOUTH"
    assert not has_own_offices(pd.Series([" 782075", "782075"]), {"782075"})
    seen = inspections(Warehouse.open(tmp_path / "w"))["office"]
    assert set(seen) == {"AB North", "South"}


def test_an_area_is_the_callers_in_whatever_spelling(service):
    """An account of `Office0`, as the people of it say, sees what `office0` in the table holds."""
    directory = service.runtime.directory
    directory.add_account("mia", "inspector", areas=["office:OFFICE0 ", "office:North:2"])
    service.tokens["mia"] = directory.issue_token("mia")
    asked = {"k": 5, "area": {"office": "Office0"}}
    theirs = service.post("/v1/rank", "mia", asked).json()
    listed = service.post("/v1/rank", "inspector", {"k": 5, "area": {"office": "office0"}}).json()
    assert theirs["area"]["office"] == "office0"
    assert [row["dealer"] for row in theirs["rows"]] == [row["dealer"] for row in listed["rows"]]
    again = service.post("/v1/rank", "mia", {"k": 5, "area": {"office": "office0"}}).json()
    assert again["design"]["random_seed"] == theirs["design"]["random_seed"]
    assert again["change"]["previous_list"] == theirs["list_id"]
    assert inspectors_of(service.runtime.store, ["office0"]) == ["inspector", "mia"]
    refused = service.post("/v1/rank", "mia", {"k": 5, "area": {"office": "office1"}}).json()
    assert (refused["code"], refused["expected"]) == (
        "outside_area", "within office North:2, office OFFICE0",
    )  # fmt: skip
    plan = {"office": "OFFICE0", "weeks": 1, "hours_per_week": 20}
    directory.add_account("zoe", "supervisor", areas=["division:DIVISION0"])
    service.tokens["zoe"] = directory.issue_token("zoe")
    assert service.post("/v1/plan", "zoe", plan).json()["office"] == "office0"
