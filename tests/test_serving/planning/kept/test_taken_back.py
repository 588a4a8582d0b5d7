"""What a later version takes back of a plan that is already in an investigator's hands."""

from __future__ import annotations

from datetime import date

import pytest

from serving import clock
from serving.scores import holds
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import events, keep


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


@pytest.fixture
def in_the_weeks(monkeypatch):
    """The day is one of the plan's weeks."""
    monkeypatch.setattr(clock, "today", lambda: date(2026, 1, 14))


def put(supervisor, plan_id, *statuses):
    for status in statuses:
        at = f"/plans/{plan_id}"
        answer = supervisor.post(f"{at}/status", {"status": status}, at=at)
        assert answer.status_code == 303, answer.text


def leave_out(supervisor, plan_id, dealer):
    at = f"/plans/{plan_id}"
    answer = supervisor.post(f"{at}/moves", {"move_dealer": dealer, "move_week": "out"}, at=at)
    assert answer.status_code == 303, answer.text


def free_to_go(visits):
    """A dealer that no rule asks for: a plan without it can be approved."""
    return next(visit["dealer"] for visit in visits if visit["why"] == "model")


def test_a_calendar_takes_back_the_visits_that_a_later_version_has_no_more(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    visits = service.get(at, "supervisor").json()["visits"]
    gone = free_to_go(visits)
    first = events(service.get(f"{at}.ics", "supervisor").text)
    assert {event["STATUS"] for event in first} == {"TENTATIVE"}
    leave_out(supervisor, plan_id, gone)
    put(supervisor, plan_id, "approved")
    for answer in (service.get(f"{at}.ics", "supervisor"), supervisor.get(f"/plans/{plan_id}.ics")):
        now = {event["UID"]: event for event in events(answer.text)}
        # Every event that the first file put into a calendar is replaced or cancelled by this one.
        assert {event["UID"] for event in first} <= now.keys()
        cancelled = {uid for uid, event in now.items() if event["STATUS"] == "CANCELLED"}
        assert cancelled == {e["UID"] for e in first if f"-{gone}-" in e["UID"]}
        assert {event["SEQUENCE"] for event in now.values()} == {"3"}
    # The earlier version is what it was.
    assert service.get(f"{at}.ics?version=1", "supervisor").text.count("CANCELLED") == 0
    put(supervisor, plan_id, "withdrawn")
    last = events(service.get(f"{at}.ics", "supervisor").text)
    assert {event["STATUS"] for event in last} == {"CANCELLED"}
    assert {event["UID"] for event in last} == now.keys()


def test_one_left_out_and_then_held_is_in_no_calendar_of_those_it_is_held_from(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    gone = service.get(at, "supervisor").json()["visits"][0]["dealer"]
    leave_out(supervisor, plan_id, gone)
    before = service.get(f"{at}.ics", "supervisor")
    assert gone in before.text.replace("\r\n ", "")
    holds.place(service.runtime.store, gone, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    known = {"If-None-Match": before.headers["etag"]}
    after = service.get(f"{at}.ics", "supervisor", headers=known)
    assert after.status_code == 200
    assert gone not in after.text.replace("\r\n ", "")


def test_who_had_to_carry_out_a_withdrawn_plan_is_told_and_can_take_it_out_of_a_calendar(
    service, supervisor, in_the_weeks
):
    plan_id = keep(supervisor)
    inspector = Visitor(service, "inspector")
    assert inspector.get(f"/plans/{plan_id}").status_code == 404
    put(supervisor, plan_id, "approved", "handed_over", "withdrawn")
    page = inspector.get(f"/plans/{plan_id}")
    assert page.status_code == 200
    assert "This plan is withdrawn: nobody carries it out." in page.text
    found = events(inspector.get(f"/plans/{plan_id}.ics").text)
    assert {event["STATUS"] for event in found} == {"CANCELLED"}
    work = inspector.get("/work").text
    assert "withdrawn by supervisor" in work
    assert "Nothing is with you now" in work
    assert "Taken back" not in supervisor.get("/work").text
    # A version that was never handed over is nobody's but theirs who made it.
    assert service.get(f"/v1/plans/{plan_id}?version=1", "inspector").status_code == 404
    assert service.get(f"/v1/plans/{plan_id}", "inspector_west").status_code == 404


def test_who_had_a_plan_that_is_being_changed_is_told_so_and_shown_nothing_of_it(
    service, supervisor, in_the_weeks
):
    plan_id = keep(supervisor)
    put(supervisor, plan_id, "approved", "handed_over")
    gone = free_to_go(service.get(f"/v1/plans/{plan_id}", "inspector").json()["visits"])
    leave_out(supervisor, plan_id, gone)
    inspector = Visitor(service, "inspector")
    page = inspector.get(f"/plans/{plan_id}")
    assert page.status_code == 404
    assert "taken back to be changed" in page.text
    assert "by supervisor" in page.text
    assert gone not in page.text
    assert "changed by supervisor" in inspector.get("/work").text
    assert "taken back" in service.get(f"/v1/plans/{plan_id}", "inspector").json()["detail"]
    put(supervisor, plan_id, "approved", "handed_over")
    assert inspector.get(f"/plans/{plan_id}").status_code == 200
    assert "Taken back" not in inspector.get("/work").text
