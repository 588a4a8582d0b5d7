"""Measures over HTTP: from which day on a partner may have a year, and whom they count."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from serving import clock
from serving.scores import holds
from tests.simulated import AS_OF
from tests.test_serving.pages import Visitor


@pytest.fixture
def measured(service, simulated):
    (service.runtime.settings.home / "warehouse").symlink_to(simulated.warehouse.path)
    snapshot = service.runtime.snapshot
    manifest = snapshot.table.manifest | {"as_of": AS_OF.isoformat()}
    service.runtime.replace(replace(snapshot, table=replace(snapshot.table, manifest=manifest)))
    return service


def test_a_partner_gets_no_year_before_its_day_of_release(measured, monkeypatch):
    monkeypatch.setattr(clock, "today", lambda: date(2025, 2, 14))
    for year in (2025, 2024):
        early = measured.get(f"/v1/measures?year={year}", "partner")
        assert (early.status_code, early.json()["code"]) == (404, "no_release")
        assert measured.get(f"/v1/measures?year={year}", "supervisor").status_code == 200
    assert measured.get("/v1/measures", "partner").json()["period"] == "2023"
    page = Visitor(measured, "partner").get("/measures")
    assert (page.status_code, "Measures of 2023" in page.text) == (200, True)
    assert measured.get("/v1/measures?year=2026", "analyst").status_code == 422
    monkeypatch.setattr(clock, "today", lambda: date(2025, 2, 15))
    assert measured.get("/v1/measures", "partner").json()["period"] == "2024"


def test_measures_count_no_dealer_that_an_export_leaves_out(measured, simulated, monkeypatch):
    monkeypatch.setattr(clock, "today", lambda: date(2024, 12, 30))
    dealer = simulated.warehouse.read("licenses", as_of=AS_OF, columns=["dealer", "listed_on"])
    frame = dealer.to_pandas()
    now = frame[frame["listed_on"] == frame["listed_on"].max()]["dealer"]
    before = measured.get("/v1/measures?year=2024", "analyst").json()["figures"]
    holds.place(
        measured.runtime.store, str(now.iloc[0]), owners=["chief"], starts_on=date(2020, 1, 1)
    )
    for role in ("analyst", "chief"):
        after = measured.get("/v1/measures?year=2024", role).json()["figures"]
        assert after["dealers_listed"] == before["dealers_listed"] - 1
    monkeypatch.setattr(clock, "today", lambda: date(2025, 2, 15))
    frozen = measured.get("/v1/measures?year=2024", "analyst").json()["figures"]
    assert frozen["dealers_listed"] == before["dealers_listed"] - 1
