"""The list of the week: issued by schedule to each office, waiting when its people sign in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.errors import InvalidRequestError
from serving.lists import issued
from serving.lists.owners import is_own, schedule_for
from serving.lists.scheduled import Order, issue_for_week, monday_of
from serving.store.database import instant
from serving.store.tables import LISTS
from tests.test_serving.pages import Visitor

OPERATOR = Principal("operator:night", "operator", frozenset({"nation"}), "local")


@pytest.fixture
def today():
    return datetime.now(UTC).date()


@pytest.fixture
def weekly(service, today):
    found = issue_for_week(service.runtime, Order(k=10), by=OPERATOR, today=today)
    return {one.office: one for one in found}


def test_every_office_gets_one_list_a_week_and_a_second_run_none(service, weekly, today):
    offices = set(service.runtime.snapshot.columns["office"])
    assert set(weekly) == offices
    assert all(one.is_new and one.n_dealers == 10 for one in weekly.values())
    again = issue_for_week(service.runtime, Order(k=10), by=OPERATOR, today=today)
    assert {one.office: one.list_id for one in again} == {
        one.office: one.list_id for one in weekly.values()
    }
    assert not any(one.is_new for one in again)
    more = issue_for_week(
        service.runtime, Order(("office3",), 4, is_again=True), by=OPERATOR, today=today
    )
    assert [(one.office, one.n_dealers, one.is_new) for one in more] == [("office3", 4, True)]


def test_two_runs_at_once_leave_one_list_an_office(service, today, monkeypatch):
    order, runs = Order(("office0", "office1"), 10), []
    alone = issued.compose

    def while_another_runs(*args, **more):
        document = alone(*args, **more)
        if not runs:
            runs.append("another")
            runs[0] = issue_for_week(service.runtime, order, by=OPERATOR, today=today)
        return document

    monkeypatch.setattr(issued, "compose", while_another_runs)
    late = issue_for_week(service.runtime, order, by=OPERATOR, today=today)
    assert [one.is_new for one in (*runs[0], *late)] == [True, True, False, False]
    assert [one.list_id for one in late] == [one.list_id for one in runs[0]]
    with service.runtime.store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(LISTS)) == 2


def test_a_list_of_last_week_does_not_stand_for_this_one(service, weekly, today):
    before = datetime.combine(monday_of(today), datetime.min.time(), UTC) - timedelta(seconds=1)
    with service.runtime.store.write() as connection:
        connection.execute(sa.update(LISTS).values(issued_at=instant(before)))
    assert all(
        one.is_new for one in issue_for_week(service.runtime, Order(), by=OPERATOR, today=today)
    )


def test_those_of_the_office_work_with_it_and_nobody_else_sees_it(service, weekly):
    own, other = weekly["office0"].list_id, weekly["office4"].list_id
    assert {r["office"] for r in service.get(f"/v1/lists/{own}", "inspector").json()["rows"]} == {
        "office0"
    }
    assert service.get(f"/v1/lists/{other}", "inspector").status_code == 404
    assert service.get(f"/v1/lists/{own}", "inspector_west").status_code == 404
    assert service.get(f"/v1/lists/{own}", "supervisor").status_code == 200
    assert service.get(f"/v1/lists/{other}", "supervisor").status_code == 404
    listed = service.get("/v1/lists", "inspector").json()["lists"]
    assert [(one["list_id"], one["office"]) for one in listed] == [(own, "office0")]
    dealer = service.get(f"/v1/lists/{own}", "inspector").json()["rows"][0]["dealer"]
    decision = {"list_id": own, "dealer": dealer, "decision": "accept"}
    assert service.post("/v1/decisions", "inspector", decision).status_code == 200
    assert own in service.get(f"/v1/dealers/{dealer}", "inspector").json()["lists"]


def test_changes_name_the_lists_that_may_be_read_and_no_others(service, weekly):
    """One rule for the list, the names of lists, and what programs follow."""
    accounts = service.runtime.directory
    accounts.add_account("bounded", "scheduler", areas=["division:division0"])
    service.tokens["bounded"] = accounts.issue_token("bounded")
    service.post("/v1/rank", "chief", {"k": 3})
    service.post("/v1/rank", "inspector", {"k": 3})
    offices = {}
    for who in ("bounded", "scheduler", "supervisor", "chief"):
        named = service.get("/v1/lists", who).json()["lists"]
        changes = service.get("/v1/changes", who).json()["changes"]
        told = {one["ref"] for one in changes if one["kind"] == "list"}
        assert told == {one["list_id"] for one in named}
        assert all(service.get(f"/v1/lists/{one}", who).status_code == 200 for one in told)
        offices[who] = [one["office"] for one in named]
    assert set(offices["bounded"]) == {"office0", "office1"}
    assert sorted(offices["scheduler"]) == sorted(weekly)  # and no person's list
    assert offices["supervisor"].count("") == 1  # its inspector's
    assert offices["chief"].count("") == 2


def test_no_account_can_pass_for_the_schedule(service):
    name = schedule_for("office0").name
    with pytest.raises(InvalidRequestError):
        service.runtime.directory.add_account(name, "inspector", areas=["office:office0"])
    whole = Principal("chief", "supervisor", frozenset({"nation"}))
    assert not is_own(whole, name)


def test_it_waits_at_sign_in_with_what_is_decided(service, weekly):
    visitor = Visitor(service, "inspector")
    list_id = weekly["office0"].list_id
    page = visitor.get("/lists").text
    assert "This week's list waits for you" in page
    assert f'href="/lists/{list_id}"' in page
    assert "10 dealers, issued by schedule" in page
    assert "Nothing is decided yet." in page
    rows = service.get(f"/v1/lists/{list_id}", "inspector").json()["rows"]
    fields = {"dealer": rows[0]["dealer"], "decision": "accept"}
    answer = visitor.post(f"/lists/{list_id}/decisions", fields, at=f"/lists/{list_id}")
    assert answer.status_code == 303
    assert "1 of 10 decided." in visitor.get("/lists").text
    assert "everybody of the office, by schedule" in visitor.get(f"/lists/{list_id}").text
    chief = Visitor(service, "chief").get("/lists").text
    assert "This week's lists, issued by schedule" in chief
    assert chief.count("/lists/L-") == len(weekly)


def test_who_ran_the_schedule_is_in_the_audit(service, weekly, audit_of):
    issued = [row for row in audit_of(service) if row["action"] == "rank"]
    assert {(row["who"], row["role"]) for row in issued} == {("operator:night", "operator")}
    assert {row["list_id"] for row in issued} == {one.list_id for one in weekly.values()}


def test_a_dealer_held_stays_off_the_list_of_the_week(service, today):
    from serving.scores import holds

    columns = service.runtime.snapshot.columns
    of = columns["office"] == "office0"
    first = columns["dealer"][of][columns["priority"][of].argmax()]
    holds.place(service.runtime.store, first, owners=["inspector"], starts_on=today)
    service.runtime.refresh_holds()
    made = issue_for_week(service.runtime, Order(("office0",), 300), by=OPERATOR, today=today)
    rows = service.get(f"/v1/lists/{made[0].list_id}", "inspector").json()["rows"]
    assert len(rows) > 20
    assert first not in {row["dealer"] for row in rows}


def test_an_office_that_is_not_there_is_named(service, today):
    with pytest.raises(InvalidRequestError, match="'ofice0'; did you mean"):
        issue_for_week(service.runtime, Order(("ofice0",)), by=OPERATOR, today=today)
