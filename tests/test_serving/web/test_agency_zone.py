"""Days go by the agency's zone and moments are read by its clock, on either side of UTC."""

from datetime import UTC, datetime

import pytest

from serving import clock
from serving.access.audit.writer import Access, Ledger
from serving.field.events.events import check_rows, keep
from serving.field.events.rescoring import collect_events, collected_since
from tests.test_serving.pages import Visitor
from tests.test_serving.web.forms.outcome_form import follow, outcome

# (zone, moment in UTC, the agency's day, its clock as it is read)
EVENING = ("America/Los_Angeles", "2026-01-06T02:30", "2026-01-05", "5 January 2026, 18:30 PST")
MORNING = ("Pacific/Kiritimati", "2026-01-05T11:00", "2026-01-06", "6 January 2026, 01:00 UTC+14")
BOTH = pytest.mark.parametrize("zone", [EVENING, MORNING], ids=["west", "east"], indirect=True)


@pytest.fixture
def zone(request, monkeypatch):
    name, moment, *said = request.param
    monkeypatch.setenv("FFL_RISK_TIME_ZONE", name)
    wall = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1e9)
    monkeypatch.setattr(clock, "_clock", clock.Clock(wall=lambda: wall))
    return said


@pytest.fixture
def served(zone, request):
    """A service that began in the zone."""
    return request.getfixturevalue("service")


@BOTH
def test_a_list_is_of_the_agencys_day_and_its_moment_read_by_its_clock(zone, served):
    day, said = zone
    listed = served.post("/v1/rank", "inspector", {"k": 3}).json()
    assert listed["list_id"].startswith(f"L-{day.replace('-', '')}-")
    assert listed["issued_at"].endswith("Z")
    assert listed["basis"]["age_days"] == (4 if day == "2026-01-05" else 5)
    visitor = Visitor(served, "inspector")
    page = visitor.get(f"/lists/{listed['list_id']}").text
    assert f"Issued {said}" in page
    assert f"List of {day}" in page
    assert "UTC<" not in page
    of_dealer = visitor.get(f"/dealers/{listed['rows'][0]['dealer']}").text
    assert f"List of {said.partition(',')[0]}" in of_dealer
    sheet = visitor.get(f"/lists/{listed['list_id']}.csv?format=csvm")
    assert said not in sheet.text


@BOTH
def test_a_visit_of_a_day_to_come_is_refused_by_the_agencys_day(zone, served):
    day, _ = zone
    dealer = str(
        served.runtime.snapshot.columns["dealer"][
            served.runtime.snapshot.where("office", ["office0"])
        ][0]
    )
    page = follow(Visitor(served, "inspector"), dealer, outcome(opened_on="2026-01-08"))
    assert f"today is {day} (" in page.text
    assert "(UTC)" not in page.text


@BOTH
def test_the_audit_page_takes_days_of_the_agency_and_the_route_of_utc(zone, served):
    day, said = zone
    utc = clock.now().date().isoformat()
    assert utc != day
    served.get("/v1/lists", "inspector")
    auditor = Visitor(served, "auditor")
    page = auditor.get(f"/audit?from_day={day}&to_day={day}").text
    assert said in page
    assert "Days are the agency" in page
    other = auditor.get(f"/audit?from_day={utc}&to_day={utc}").text
    assert said not in other
    for first, n in ((utc, 1), (day, 1 if day < utc else 0)):
        told = served.get(f"/v1/audit?from_day={first}", "auditor", purpose=None).json()["records"]
        assert bool(told) == bool(n), first
    assert auditor.get("/audit?from_day=0001-01-01&to_day=9999-12-31").status_code == 200


@BOTH
def test_an_event_of_the_day_is_found_by_the_agencys_day(zone, served):
    """East of UTC the day begins while it is yesterday there."""
    store, home = served.runtime.store, served.runtime.settings.home / "warehouse"
    tip = {"tip_id": "P", "dealer": "1-10-00001", "received_on": "2026-01-02", "source": "public",
           "is_self_report": False}  # fmt: skip
    checked = check_rows("tips", [tip], today=clock.today())
    ledger = Ledger(served.runtime.audit_key, Access("feed", "scheduler", "", ""))
    keep(store, "tips", checked.rows, ledger=ledger)
    collect_events(store, home)
    assert len(collected_since(store, home, clock.today())) == 1
