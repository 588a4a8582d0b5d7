"""Successors: a new license in the place of an ended one."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from features.ingest import ingest
from features.signals.successors import listing_days, successor_links
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


def _pairs(links):
    return {(row.dealer[-1], row.predecessor[-1]): row.rule_id for row in links.itertuples()}


def test_each_rule_links_what_it_says(warehouse):
    links = successor_links(warehouse, date(2018, 4, 2))
    assert _pairs(links) == {
        ("2", "1"): "same_premises",
        ("3", "1"): "same_licensee",
        ("8", "7"): "same_premises_and_licensee",
    }


def test_a_link_is_seen_only_once_both_sides_were_listed(warehouse):
    # The successor of 7 is first listed on 1 June 2015 and known from the next day on.
    assert _pairs(successor_links(warehouse, date(2015, 6, 1))) == {}
    assert set(_pairs(successor_links(warehouse, date(2015, 6, 2)))) == {("8", "7")}


def test_revocation_of_the_predecessor_shows_from_the_day_it_was_known(warehouse):
    before = successor_links(warehouse, date(2015, 7, 20))
    after = successor_links(warehouse, date(2015, 7, 21))
    assert before["is_predecessor_revoked"].tolist() == [False]
    assert after["is_predecessor_revoked"].tolist() == [True]


def test_reason_names_the_predecessor_and_the_days(warehouse):
    links = successor_links(warehouse, date(2015, 6, 2))
    assert links["reason"].tolist() == [
        "same premises and licensee: 1-54-00007 was last listed on 2015-04-01, "
        "this license first on 2015-06-01"
    ]


def test_a_day_with_few_dealers_is_no_listing():
    rows = pd.DataFrame(
        {
            "dealer": [str(i) for i in range(20)] + ["20"],
            "premises_state": "TX",
            "listed_on": [100] * 20 + [200],
        }
    )
    assert listing_days(rows).loc["TX"].tolist() == [100, 100]
