"""Successors: a new license in the place of an ended one."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from features.ingest import ingest
from features.table import build_features
from features.warehouse import Warehouse

# Dealer -> (street, licensee, listings it is on). Month numbers count from January 2015.
WORLD = {
    "1-54-00001": ("1 MAIN ST", "OLD SHOP LLC", range(6)),
    "1-54-00002": ("1 Main St.", "NEW SHOP LLC", range(7, 40)),  # same premises
    "1-54-00003": ("9 OAK AVE", "OLD SHOP LLC", range(8, 40)),  # same licensee
    "1-54-00004": ("1 MAIN ST", "OLD SHOP LLC", range(31, 40)),  # too late after the first
    "1-54-00005": ("5 ELM ST", "STAYS INC", range(40)),
    "1-54-00006": ("5 ELM ST", "TENANT INC", range(10, 40)),  # beside one that never ended
    "1-54-00007": ("7 FIR ST", "BOTH LLC", range(4)),
    "1-54-00008": ("7 FIR ST", "BOTH LLC", range(5, 40)),  # same premises and licensee
}

INSPECTION = ["inspection_id", "dealer", "kind", "opened_on", "closed_on", "selected_by", "outcome"]


def _month(number):
    return date(2015 + number // 12, number % 12 + 1, 1)


def _listing():
    rows = [
        {
            "dealer": dealer,
            "license_number": f"{dealer[:5]}013-01-9A-{dealer[5:]}",
            "license_type": "01",
            "listed_on": _month(m).isoformat(),
            "licensee_name": name,
            "premises_street": street,
            "premises_city": "ALEXANDRIA",
            "premises_state": "VA",
            "premises_zip": "22301",
            "county_fips": "51510",
        }
        for dealer, (street, name, months) in WORLD.items()
        for m in months
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("successors")
    _listing().to_csv(folder / "licenses.csv", index=False)
    pd.DataFrame(
        [
            ("i1", "1-54-00007", "compliance", "2014-06-01", "2015-07-20", "risk", "revocation"),
            ("i2", "1-54-00001", "compliance", "2014-06-01", "2014-07-01", "risk", "report"),
        ],
        columns=[
            "inspection_id",
            "dealer",
            "kind",
            "opened_on",
            "closed_on",
            "selected_by",
            "outcome",
        ],
    ).to_csv(folder / "inspections.csv", index=False)
    ingest([folder / "licenses.csv", folder / "inspections.csv"], folder / "warehouse")
    return Warehouse.open(folder / "warehouse")


RULE = {"same_premises_and_licensee": 3, "same_premises": 2, "same_licensee": 1, "none": 0}


def _signals(warehouse, as_of):
    table = build_features(warehouse, as_of, families=["license"]).frame
    return table.set_index(table["dealer"].str[-1])


def _rules(warehouse, as_of):
    """The rule of each dealer that is new; who was on the first listing has none."""
    return _signals(warehouse, as_of)["license_successor_rule"].dropna().to_dict()


def test_each_rule_links_what_it_says(warehouse):
    assert _rules(warehouse, date(2018, 4, 2)) == {
        "2": RULE["same_premises"],
        "3": RULE["same_licensee"],
        "4": RULE["none"],  # more than two years after the first
        "6": RULE["none"],  # beside one that never ended
        "8": RULE["same_premises_and_licensee"],
    }


def test_a_link_is_seen_only_once_both_sides_were_listed(warehouse):
    # The successor of 7 is first listed on 1 June 2015 and known from the next day on.
    assert "8" not in _signals(warehouse, date(2015, 6, 1)).index
    assert _rules(warehouse, date(2015, 6, 2)) == {"8": RULE["same_premises_and_licensee"]}


def test_revocation_of_the_predecessor_shows_from_the_day_it_was_known(warehouse):
    before = _signals(warehouse, date(2015, 7, 20))["license_is_successor_of_revoked"]
    after = _signals(warehouse, date(2015, 7, 21))["license_is_successor_of_revoked"]
    assert (before["8"], after["8"]) == (0.0, 1.0)


def test_revocation_of_somebody_else_shows_nowhere(warehouse):
    late = _signals(warehouse, date(2018, 4, 2))["license_is_successor_of_revoked"]
    assert late.dropna().to_dict() == {"2": 0.0, "3": 0.0, "4": 0.0, "6": 0.0, "8": 1.0}
