"""A plan is a thing: kept, versioned, moved, approved, handed over; the same in every file."""

from __future__ import annotations

import io
import re
from datetime import date, timedelta
from html import unescape
from urllib.parse import urlencode

import numpy as np
import openpyxl
import pytest

from serving.planning import PlanRequest, make_plan
from serving.planning.workdays import Leave, days_on_site, federal_holidays, workdays
from serving.scores import holds
from serving.scores.words.wording import percent
from serving.store.tables import PLANS
from tests.benchmarks.inputs.office import invented_office
from tests.test_serving.pages import Visitor

ASK = {"office": "office0", "weeks": "3", "investigators": "1", "hours": "40",
       "names": "inspector", "starts_on": "2026-01-12"}  # fmt: skip


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


def keep(visitor, **changes):
    ask = ASK | changes
    answer = visitor.post("/plans", {"ask": urlencode(ask)}, at=f"/plan?{urlencode(ask)}")
    assert answer.status_code == 303, answer.text
    return re.search(r"/plans/(P-[0-9]{8}-[0-9a-f]{12})", answer.headers["location"])[1]


def events(text):
    unfolded = text.replace("\r\n ", "")
    return [
        dict(line.split(":", 1) for line in block.split("\r\n") if ":" in line)
        for block in unfolded.split("BEGIN:VEVENT")[1:]
    ]


def test_a_moved_visit_is_moved_in_every_file(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    before = service.get(at, "supervisor").json()
    visit = before["visits"][0]
    week = 3 if visit["week"] < 3 else 1
    moved = supervisor.post(
        f"/plans/{plan_id}/moves",
        {"move_dealer": visit["dealer"], "move_week": str(week)},
        at=f"/plans/{plan_id}",
    )
    assert moved.status_code == 303
    after = service.get(at, "supervisor").json()
    assert (after["version"], after["status"]) == (2, "draft")
    assert after["moves"] == [f"{visit['dealer']}~{week}.1"]
    own = next(v for v in after["visits"] if v["dealer"] == visit["dealer"])
    assert own["week"] == week
    monday = date(2026, 1, 12) + timedelta(weeks=week - 1)
    assert monday <= date.fromisoformat(own["first_on"]) < monday + timedelta(days=5)
    found = {e["UID"]: e for e in events(service.get(f"{at}.ics", "supervisor").text)}
    entry = found[f"{plan_id}-{visit['dealer']}-1@ffl-risk"]
    assert entry["DTSTART;VALUE=DATE"] == own["first_on"].replace("-", "")
    assert entry["SEQUENCE"] == "2"
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"{at}.xlsx", "supervisor").content))
    rows = {row[13].value: row for row in book["Plan"].iter_rows(min_row=2)}
    assert rows[visit["dealer"]][0].value == week
    assert rows[visit["dealer"]][2].value.date().isoformat() == own["first_on"]
    page = supervisor.get(f"/plans/{plan_id}").text
    assert re.search(
        rf'data-week="{week}"(?:(?!class="week).)*data-dealer="{visit["dealer"]}"', page, re.DOTALL
    )
    # The version before is still what it was.
    assert service.get(f"{at}?version=1", "supervisor").json() == before


def test_the_proposals_calendar_carries_the_move_too(service, supervisor):
    page = supervisor.get(f"/plan?{urlencode(ASK)}").text
    dealer = re.search(r'data-dealer="([^"]+)"', page)[1]
    asked = urlencode([*ASK.items(), ("move", f"{dealer}~3.1")])
    assert f"/plan.ics?{asked}".split("?")[0] in page
    entries = events(supervisor.get(f"/plan.ics?{asked}").text)
    entry = next(e for e in entries if f"-{dealer}-" in e["UID"])
    assert "20260126" <= entry["DTSTART;VALUE=DATE"] <= "20260130"


def test_every_file_says_where_on_what_license_and_with_what_caution(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    visit = service.get(at, "supervisor").json()["visits"][0]
    text = service.get(f"{at}.ics", "supervisor").text.replace("\r\n ", "").replace("\\", "")
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"{at}.xlsx", "supervisor").content))
    sheet = " ".join(str(cell.value) for row in book["Plan"].iter_rows() for cell in row)
    about = " ".join(str(row[0].value) for row in book["About"].iter_rows())
    page = supervisor.get(f"/plans/{plan_id}").text
    for content in (text, sheet, page):
        assert visit["street"] in content
        assert visit["license_number"] in content
    for content in (text, about, page):
        assert "not evidence" in content
        assert "Firearm traces help an investigation" in content
        assert "2026-01-01" in content
    # Why it is there stands in words, never in the planner's own.
    assert {row[18].value for row in book["Plan"].iter_rows(min_row=2)} <= {
        "by priority", "drawn at random", "recall due", "longest unseen",
    }  # fmt: skip
    assert "in the plan: " in text
    # What a visit adds to the expected findings stands beside it; together they are the sum.
    (column,) = [c for c in book["Plan"][1] if c.value == "Chance of a severe finding"]
    said = f"{percent(visit['expected_yield'])} chance of a severe finding"
    assert said in text
    assert said in page
    plan = service.get(at, "supervisor").json()
    each = {v["dealer"]: v["expected_yield"] for v in plan["visits"]}
    chances = {
        row[13].value: row[column.column - 1].value for row in book["Plan"].iter_rows(min_row=2)
    }
    assert chances == pytest.approx(each, abs=1e-3)
    assert plan["objective"] == pytest.approx(sum(each.values()))
    # The whole of the statements stands once: of the calendar, and at the end of the paper.
    entries = events(service.get(f"{at}.ics", "supervisor").text)
    assert all("not evidence" in entry["DESCRIPTION"] for entry in entries)
    assert text.count("Firearm traces help an investigation") == 1
    assert "Firearm traces help" not in "".join(entry["DESCRIPTION"] for entry in entries)
    pdf = service.get(f"{at}.pdf", "supervisor").content
    assert pdf.startswith(b"%PDF")
    assert b"StructTreeRoot" in pdf
    assert pdf == service.get(f"{at}.pdf", "supervisor").content


def test_approved_then_handed_over_it_is_seen_by_its_inspector_and_no_other(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    assert service.get(at, "inspector").status_code == 404
    for status in ("approved", "handed_over"):
        answer = supervisor.post(
            f"/plans/{plan_id}/status", {"status": status}, at=f"/plans/{plan_id}"
        )
        assert answer.status_code == 303
    assert service.get(at, "inspector").json()["status"] == "handed_over"
    assert plan_id in [p["plan_id"] for p in service.get("/v1/plans", "inspector").json()["plans"]]
    assert service.get(at, "inspector_west").status_code == 404
    assert service.get(at, "analyst").status_code == 403
    inspector = Visitor(service, "inspector")
    assert plan_id in inspector.get("/plans").text
    work = inspector.get("/work").text
    assert f'Plan <a href="/plans/{plan_id}">' in work
    assert "handed over by supervisor" in work
    assert "Nothing is with you now" not in work
    for name in ("inspector_west", "supervisor"):
        assert "Nothing is with you now" in Visitor(service, name).get("/work").text
    assert "Approve" not in inspector.get(f"/plans/{plan_id}").text


def test_a_plan_goes_from_status_to_status_in_order_only(service, supervisor, audit_of):
    plan_id = keep(supervisor)
    visits = service.get(f"/v1/plans/{plan_id}", "supervisor").json()["visits"]
    n_before = len(audit_of(service))
    early = supervisor.post(
        f"/plans/{plan_id}/status", {"status": "handed_over"}, at=f"/plans/{plan_id}"
    )
    assert early.status_code == 409
    # The plan on the page of a refusal is seen as on any other: once to send the form, once now.
    read = [r["subject"] for r in audit_of(service)[n_before:] if r["action"] == "plans"]
    assert len(read) == 2
    assert visits[0]["dealer"] in read[-1]
    assert service.get(f"/v1/plans/{plan_id}", "supervisor").json()["version"] == 1


def test_a_plan_that_breaks_a_rule_offers_no_approval_and_names_who_is_over_hours(
    service, supervisor
):
    plan_id = keep(supervisor, names="inspector, gus", investigators="2")
    at = f"/plans/{plan_id}"
    plan = service.get(f"/v1{at}", "supervisor").json()
    assert "Approve" in supervisor.get(at).text
    for dealer in dict.fromkeys(v["dealer"] for v in plan["visits"]):
        asked = {"move_dealer": dealer, "move_week": "1", "move_investigator": "2"}
        assert supervisor.post(f"{at}/moves", asked, at=at).status_code == 303
    broken = service.get(f"/v1{at}", "supervisor").json()["broken"]
    assert any(sentence.startswith("Week 1 of gus takes") for sentence in broken)
    page = supervisor.get(f"{at}?done=kept").text
    assert "Approve it" not in page
    assert '<button name="status" value="approved"' not in page
    assert "to week 1, gus" in page
    # Nobody of that name could see it.
    assert "signs in as gus:" in page
    assert supervisor.post(f"{at}/status", {"status": "approved"}, at=at).status_code == 409
    # Of a dealer held from the reader no hour is in what the sentence says.
    over = re.compile(r"Week 1 of gus takes ([0-9.]+) hours, ([0-9.]+) more than there are\.")
    (hours, more) = next(m for s in broken if (m := over.fullmatch(s))).groups()
    holds.place(
        service.runtime.store, asked["move_dealer"], owners=["chief"], starts_on=date(2025, 1, 1)
    )
    service.runtime.refresh_holds()
    seen = service.get(f"/v1{at}", "supervisor").json()
    held = next(v for v in plan["visits"] if v["dealer"] == asked["move_dealer"])
    (fewer, less) = next(m for s in seen["broken"] if (m := over.fullmatch(s))).groups()
    assert float(hours) - float(fewer) >= held["hours"] - 0.1
    assert float(more) - float(less) == pytest.approx(float(hours) - float(fewer), abs=0.11)
    assert broken == service.get(f"/v1{at}", "chief").json()["broken"]


def test_nobody_changes_a_version_that_they_did_not_look_at(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/plans/{plan_id}"
    # A recall left out breaks a rule, and what breaks one is not approved.
    visits = service.get(f"/v1{at}", "supervisor").json()["visits"]
    dealer = next(visit["dealer"] for visit in visits if visit["why"] != "recall")
    chief = Visitor(service, "chief")
    out = {"move_dealer": dealer, "move_week": "out"}
    assert chief.post(f"{at}/moves", out, at=at).status_code == 303
    # The supervisor's page still shows version 1, with the visit.
    for path, form in (
        ("status", {"status": "approved"}), ("status", {"status": "withdrawn"}), ("moves", out),
    ):  # fmt: skip
        for version in ("1", "", "x"):
            late = supervisor.post(f"{at}/{path}", form | {"version": version}, at=at)
            assert late.status_code == 409
            assert "since you looked at it" in late.text
    # What the refusal shows is what is there now, to be looked at and approved.
    assert 'name="version" value="2"' in late.text
    assert service.get(f"/v1{at}", "supervisor").json()["version"] == 2
    assert supervisor.post(f"{at}/status", {"status": "approved"}, at=at).status_code == 303


def test_what_was_kept_is_never_changed(service, supervisor):
    plan_id = keep(supervisor)
    supervisor.post(f"/plans/{plan_id}/status", {"status": "approved"}, at=f"/plans/{plan_id}")
    with service.runtime.store.read() as connection:
        rows = connection.execute(PLANS.select().where(PLANS.c.plan_id == plan_id)).fetchall()
    assert [(row.version, row.status) for row in rows] == [(1, "draft"), (2, "approved")]


def test_a_dealer_overridden_as_out_of_business_is_not_planned(service, supervisor):
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 5}).json()
    first = listed["rows"][0]["dealer"]
    body = {"list_id": listed["list_id"], "dealer": first, "decision": "override",
            "reason": "out_of_business"}  # fmt: skip
    assert service.post("/v1/decisions", "supervisor", body).status_code == 200
    asked = {"office": "office0", "weeks": 12, "n_investigators": 4}
    plan = service.post("/v1/plan", "supervisor", asked).json()
    assert first not in {visit["dealer"] for visit in plan["visits"]}
    assert plan["set_aside"]["overridden as out of business"] == 1
    again = body | {"decision": "accept", "reason": None}
    assert service.post("/v1/decisions", "supervisor", again).status_code == 200
    plan = service.post("/v1/plan", "supervisor", asked).json()
    assert "overridden as out of business" not in plan["set_aside"]


def test_a_held_dealer_was_never_in_a_kept_plan(service, supervisor):
    from serving.scores.holds import place

    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    before = service.get(at, "supervisor").json()
    gone = before["visits"][1]["dealer"]
    place(service.runtime.store, gone, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    after = service.get(at, "supervisor")
    assert gone not in after.text
    assert gone not in supervisor.get(f"/plans/{plan_id}").text
    assert gone not in service.get(f"{at}.ics", "supervisor").text
    orders = [v["order"] for v in after.json()["visits"] if v["week"] == 1]
    assert orders == list(range(1, len(orders) + 1))


def test_no_hour_day_or_count_of_a_kept_plan_shows_that_a_dealer_is_held(service, supervisor):
    """The first of a week, and one that may not be visited in these weeks at all."""
    plan_id = keep(supervisor, hours="80")
    at = f"/v1/plans/{plan_id}"
    before = service.get(at, "supervisor").json()
    pairs = zip(before["visits"], before["visits"][1:], strict=False)
    first = next(one for one, other in pairs if (one["order"], other["order"]) == (1, 2))
    columns = service.runtime.snapshot.columns
    is_far = (columns["office"] == "office0") & (
        columns["eligible_on"] > np.datetime64("2026-02-02")
    )
    for dealer in (first["dealer"], str(columns["dealer"][is_far][0])):
        holds.place(service.runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    after = service.get(at, "supervisor").json()
    clock = 0.0
    for visit in (v for v in after["visits"] if v["week"] == first["week"]):
        clock += visit["drive_hours"]
        assert visit["starts_after_hours"] == pytest.approx(clock)
        days = [date.fromisoformat(visit[name]) for name in ("first_on", "last_on")]
        monday = date(2026, 1, 12) + timedelta(weeks=visit["week"] - 1)
        assert days[0] == monday + timedelta(days=int(clock // 16))
        clock += visit["hours"]
    assert clock > 0
    # The counts are those of a plan that the reader makes now, and the bound is one still.
    ask = {"office": "office0", "weeks": 3, "starts_on": "2026-01-12", "hours_per_week": 80}
    anew = service.post("/v1/plan", "supervisor", ask).json()["set_aside"]
    assert {reason: n for reason, n in after["set_aside"].items() if n} == {
        reason: n for reason, n in anew.items() if n
    }
    ineligible = "not eligible in these weeks"
    assert after["set_aside"][ineligible] == before["set_aside"][ineligible] - 1
    assert after["bound"] == before["bound"] >= after["objective"]
    whole = service.get(at, "chief").json()
    assert [v | {"override": ""} for v in whole["visits"]] == before["visits"]
    assert whole["set_aside"] == before["set_aside"]


@pytest.mark.parametrize("done", ["approved", "moved"])
def test_what_one_does_to_a_plan_takes_nothing_held_from_them_from_others(
    service, supervisor, audit_of, done
):
    plan_id = keep(supervisor)
    at, page = f"/v1/plans/{plan_id}", f"/plans/{plan_id}"
    before = service.get(at, "chief").json()
    first, other = before["visits"][0], before["visits"][-1]
    dealer = first["dealer"]
    assert other["dealer"] != dealer
    holds.place(service.runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    if done == "approved":
        answer = supervisor.post(f"{page}/status", {"status": "approved"}, at=page)
    else:
        week = 1 if other["week"] != 1 else 2
        form = {"move_dealer": other["dealer"], "move_week": str(week)}
        answer = supervisor.post(f"{page}/moves", form, at=page)
    assert answer.status_code == 303, answer.text
    seen = service.get(at, "supervisor").json()
    assert seen["version"] == 2
    assert dealer not in str(seen)
    whole = service.get(at, "chief").json()
    assert {v["dealer"] for v in whole["visits"]} == {v["dealer"] for v in before["visits"]}
    kept = next(v for v in whole["visits"] if v["dealer"] == dealer)
    for name in ("week", "investigator", "first_on", "last_on", "order"):
        assert kept[name] == first[name]
    # Each begins as the one before ends: nobody is sent to two dealers at once.
    clocks = {}
    for visit in whole["visits"]:
        week = visit["week"], visit["investigator"]
        clock = clocks.get(week, 0.0) + visit["drive_hours"]
        assert visit["starts_after_hours"] == pytest.approx(clock)
        clocks[week] = clock + visit["hours"]
    assert (whole["objective"] > seen["objective"]) == (first["expected_yield"] > 0)
    assert whole["status"] == seen["status"]
    # The record of what the supervisor did names only what the supervisor sees.
    record = next(r for r in reversed(audit_of(service)) if r["action"] == "plan")
    assert (record["who"], dealer in record["subject"]) == ("supervisor", False)


def test_nobody_is_visited_on_a_holiday_or_on_leave(service, supervisor):
    asked = ASK | {"leave": "1~2026-01-26~2026-01-27"}
    plan_id = keep(supervisor, **asked)
    plan = service.get(f"/v1/plans/{plan_id}", "supervisor").json()
    assert [h["on"] for h in plan["holidays"]] == ["2026-01-19"]
    for visit in plan["visits"]:
        assert "2026-01-19" not in {visit["first_on"], visit["last_on"]}
        for off in ("2026-01-26", "2026-01-27"):
            assert off not in {visit["first_on"], visit["last_on"]}
    assert not plan["broken"]
    page = supervisor.get(f"/plans/{plan_id}").text
    assert "Martin Luther King" in page
    assert "of 24 h" in page


def test_an_empty_plan_says_so_and_proves_nothing(service, supervisor):
    n = len(service.runtime.snapshot.columns["dealer"])
    late = np.full(n, np.datetime64("2030-01-01", "s"))
    service.runtime.update(lambda s: s.changed(np.arange(n), eligible_on=late))
    text = supervisor.get(f"/plan?{urlencode(ASK)}").text
    assert "No dealer can be visited under these terms" in text
    assert "not eligible in these weeks" in text
    assert "proven" not in text
    assert "Keep this plan" not in text


def test_a_plan_that_cannot_be_says_what_would_make_it_possible(service, supervisor):
    asked = ASK | {"weeks": "1", "leave": "1~2026-01-12~2026-01-16"}
    answer = supervisor.get(f"/plan?{urlencode(asked)}")
    assert answer.status_code == 409
    assert "Any one of these makes it possible" in answer.text


def test_weeks_with_holidays_have_fewer_hours_and_the_bound_stays_one():
    days = workdays(date(2026, 11, 9), weeks=3, n_investigators=2,
                    leave=[Leave(2, date(2026, 11, 16), date(2026, 11, 20))])  # fmt: skip
    assert days.n_days == ((4, 4), (5, 0), (4, 4))
    request = PlanRequest(39.0, -96.0, date(2026, 11, 9), weeks=3, n_investigators=2,
                          n_workdays=days.n_days)  # fmt: skip
    plan = make_plan(invented_office(300, seed=2), request)
    assert request.total_hours == 4 * 32 + 40
    for week in plan.weeks:
        assert week.visit_hours + week.drive_hours <= week.hours_available + 0.05
        assert (week.week, week.investigator) != (2, 2)
    assert plan.objective <= plan.bound + 1e-9
    for visit in plan.visits:
        own = days.days[visit.week - 1][visit.investigator - 1]
        first, last = days_on_site(visit.starts_after_hours, visit.hours, own, request)
        assert first in own
        assert last in own


def test_federal_holidays_are_those_of_the_statute():
    # 5 USC 6103; a Saturday's is observed on the Friday before.
    known = federal_holidays(date(2026, 1, 1), date(2026, 12, 31))
    for day in ("2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-07-03",
                "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25"):  # fmt: skip
        assert date.fromisoformat(day) in known


def test_a_refused_move_leaves_the_plan_on_the_page_and_says_why(supervisor):
    page = supervisor.get(f"/plan?{urlencode(ASK)}").text
    dealer = re.search(r'data-dealer="([^"]+)"', page)[1]
    refused = supervisor.get(f"/plan?{urlencode([*ASK.items(), ('move', f'{dealer}~9.1')])}")
    assert refused.status_code == 422
    assert "That week is not in the plan" in refused.text
    assert "Week by week" in refused.text
    assert refused.text.count("data-dealer=") == page.count("data-dealer=")


def test_who_sees_a_plan_handed_over_is_said_of_those_who_do(service, supervisor):
    plan_id = keep(supervisor, names="inspector, gus", investigators="2")
    at = f"/plans/{plan_id}"
    visit = service.get(f"/v1{at}", "supervisor").json()["visits"][0]
    asked = {"move_dealer": visit["dealer"], "move_week": "out"}
    assert supervisor.post(f"{at}/moves", asked, at=at).status_code == 303
    for status in ("approved", "handed_over"):
        assert supervisor.post(f"{at}/status", {"status": status}, at=at).status_code == 303
    text = supervisor.get(f"{at}?done=handed_over").text
    assert "The plan is handed over. inspector sees it under Plans." in text
    assert "signs in as gus:" in text
    assert f"{visit['name']} ({visit['dealer']}) left out" in unescape(text)


def test_a_dealer_left_out_and_then_held_is_named_to_nobody_it_is_held_from(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/plans/{plan_id}"
    dealer = service.get(f"/v1{at}", "supervisor").json()["visits"][0]["dealer"]
    asked = {"move_dealer": dealer, "move_week": "out"}
    assert supervisor.post(f"{at}/moves", asked, at=at).status_code == 303
    holds.place(service.runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    assert dealer not in service.get(f"/v1{at}", "supervisor").text
    assert dealer not in supervisor.get(at).text
    assert service.get(f"/v1{at}", "chief").json()["moves"] == [f"{dealer}~out"]
