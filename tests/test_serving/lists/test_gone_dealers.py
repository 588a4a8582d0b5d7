"""A dealer that left the newest table is not held from anybody: what was made about it stands."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from serving.scores import holds
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.test_kept_plans import keep

GONE = "gone from the newest listing"


def publish_without(service, dealer):
    """Publish the same table anew, the dealer's type being none that is scored."""
    snapshot = service.runtime.snapshot
    (row,) = np.flatnonzero(snapshot.columns["dealer"] == dealer)
    rows = np.array([row])
    service.runtime.replace(snapshot.changed(rows, is_in_scope=np.array([False])))
    assert service.runtime.snapshot.columns["is_in_scope"].sum() == len(snapshot.row_of) - 1


@pytest.fixture
def listed(service):
    return service.post("/v1/rank", "inspector", {"k": 20}).json()


def test_it_stands_on_its_list_and_can_be_decided_about(service, listed):
    dealer, list_id = listed["rows"][2]["dealer"], listed["list_id"]
    publish_without(service, dealer)
    visitor = Visitor(service, "inspector")
    page = visitor.get(f"/lists/{list_id}").text
    assert page.count(GONE) == 1
    assert f'href="/dealers/{dealer}?' not in page
    said = {"dealer": dealer, "decision": "override", "reason": "out_of_business"}
    made = visitor.post(f"/lists/{list_id}/decisions", said, at=f"/lists/{list_id}")
    assert made.status_code == 303, made.text
    work = visitor.get("/work").text
    assert dealer in work
    assert GONE in work
    assert f'href="/dealers/{dealer}' not in work
    # Who has another office is no nearer to it than before.
    body = {"list_id": list_id, "dealer": dealer, "decision": "accept"}
    assert service.post("/v1/decisions", "inspector_west", body).status_code == 404


def test_it_can_be_handed_over_and_settled_by_a_visit_told_before(service, listed):
    dealer, list_id = listed["rows"][2]["dealer"], listed["list_id"]
    told = {"inspection_id": "I-7", "dealer": dealer, "opened_on": "2026-02-02",
            "outcome": "surrender"}  # fmt: skip
    assert service.post("/v1/outcomes", "inspector", told).status_code == 200
    publish_without(service, dealer)
    visitor = Visitor(service, "inspector")
    assert f'id="d-{dealer}"' in visitor.get(f"/lists/{list_id}?decided=visited").text
    assert f'id="d-{dealer}"' not in visitor.get(f"/lists/{list_id}?decided=open").text
    at = f"/lists/{list_id}"
    handed = visitor.post(f"{at}/assign", {"dealer": dealer, "to": "inspector"}, at=at)
    assert handed.status_code == 303
    assert "visited, outcome told" in visitor.get("/work").text


def test_what_a_list_says_of_the_last_one_stays(service, listed):
    gone = {row["dealer"] for row in listed["rows"][-3:]}
    snapshot = service.runtime.snapshot
    rows = np.flatnonzero(np.isin(snapshot.columns["dealer"], sorted(gone)))
    low = snapshot.columns["priority"][rows] - 50.0
    service.runtime.replace(snapshot.changed(rows, priority=low))
    second = service.post("/v1/rank", "inspector", {"k": 20}).json()
    assert second["change"]["n_left"] > 0
    at = f"/lists/{second['list_id']}"
    visitor = Visitor(service, "inspector")
    before = visitor.get(at).text.partition("came on")[2].partition("</p>")[0]
    publish_without(service, min(set(second["change"]["left"]) & gone))
    page = visitor.get(at).text
    assert page.partition("came on")[2].partition("</p>")[0] == before
    assert GONE in page


def test_a_kept_plan_keeps_its_visit(service):
    supervisor = Visitor(service, "supervisor")
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    before = service.get(at, "supervisor").json()
    dealer = before["visits"][1]["dealer"]
    publish_without(service, dealer)
    after = service.get(at, "supervisor").json()
    assert [v["dealer"] for v in after["visits"]] == [v["dealer"] for v in before["visits"]]
    assert after["objective"] == before["objective"]
    page = supervisor.get(f"/plans/{plan_id}").text
    assert GONE in page
    assert f'href="/dealers/{dealer}"' not in page
    calendar = service.get(f"{at}.ics", "supervisor").text.replace("\r\n ", "")
    assert f"{plan_id}-{dealer}-1@" in calendar
    assert GONE in calendar


def test_one_that_is_held_is_still_nowhere(service, listed):
    """Held and gone at once, by the table too: who may not know of it learns nothing."""
    supervisor = Visitor(service, "supervisor")
    plan_id = keep(supervisor)
    dealer = service.get(f"/v1/plans/{plan_id}", "supervisor").json()["visits"][0]["dealer"]
    publish_without(service, dealer)
    store = service.runtime.store
    holds.place(store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    for path in (f"/plans/{plan_id}", "/work", f"/lists/{listed['list_id']}"):
        assert dealer not in supervisor.get(path).text
    said = {"list_id": listed["list_id"], "dealer": dealer, "decision": "accept"}
    assert service.post("/v1/decisions", "inspector", said).status_code == 404
