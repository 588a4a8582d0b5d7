"""Measures over HTTP: from which day on a partner may have a year, and whom they count."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from features.insight.measures import writing
from features.insight.measures.measure import Report
from serving import clock
from serving.insight import measures
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


def test_what_partners_were_told_of_a_year_they_are_told_again(measured, simulated, monkeypatch):
    """Between two answers that differ stands what came in since, or a hold."""
    monkeypatch.setattr(clock, "today", lambda: date(2025, 2, 15))
    ask = "/v1/measures?year=2022"
    first = measured.get(ask, "partner").json()
    assert any(one["value"] is not None for one in first["measures"])
    counted = measures.warehouse_figures

    def more(*args, **kwargs):
        return {name: n and 2 * n for name, n in counted(*args, **kwargs).items()}

    monkeypatch.setattr(measures, "warehouse_figures", more)
    assert measured.get(ask, "partner").json() == first
    page = Visitor(measured, "partner").get("/measures?year=2022")
    measured.get(ask, "analyst")  # which freezes the year, by what is known now
    measured.get("/v1/measures?year=2021", "analyst")
    assert measured.get(ask, "partner").json() == first
    assert table_of(Visitor(measured, "partner").get("/measures?year=2022")) == table_of(page)


def table_of(page):
    return page.text.partition("<table")[2].partition("</table>")[0]


def test_of_two_reports_kept_at_once_both_get_the_first(tmp_path, monkeypatch):
    one, other = (Report("2022", "2022-01-01", "2023-01-01", True, (), {"n": n}) for n in (1, 2))
    writing.freeze(one, tmp_path, part=writing.RELEASED)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # as the second saw it
    assert writing.freeze(other, tmp_path, part=writing.RELEASED).figures == {"n": 1}
    assert [path.name for path in tmp_path.rglob("*.json")] == ["2022.json"]
    assert writing.frozen(tmp_path, "2022") is None
