"""A dealer that left the newest table is not held from anybody: what was made about it stands."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pytest

from features.ingest import ingest
from serving.scores import holds
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import keep
from tests.test_serving.web.forms.outcome_form import follow, n_outcomes, outcome

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
    assert f'href="/dealers/{dealer}"' not in work
    assert f'href="/dealers/{dealer}?' not in work
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


LICENSES = (
    "dealer,listed_on,license_number,license_type,licensee_name,business_name,premises_street,"
    "premises_city,premises_state,premises_zip,county_fips\n"
    "{0},2024-06-01,{1},01,GONE LLC,Gone Guns,1 Main St,Phoenix,AZ,85001,04013\n"
)


def left_out(service, snapshot_of, tmp_path):
    """Put a table in force without a dealer that an earlier listing has."""
    whole = service.runtime.snapshot
    dealer = str(whole.columns["dealer"][-1])
    number = str(whole.columns["license_number"][-1])
    path = tmp_path / "licenses.csv"
    path.write_text(LICENSES.format(dealer, number))
    ingest([path], service.runtime.settings.home / "warehouse", today=date(2026, 2, 1))
    service.runtime.replace(snapshot_of(len(whole.row_of) - 1))
    assert dealer not in service.runtime.snapshot.row_of
    return dealer, number


def test_what_a_visit_to_it_found_can_be_told_and_put_right(service, listed):
    dealer, list_id = listed["rows"][2]["dealer"], listed["list_id"]
    publish_without(service, dealer)
    visitor = Visitor(service, "inspector")
    assert f"/dealers/{dealer}/outcome?list={list_id}" in visitor.get(f"/lists/{list_id}").text
    told = outcome(outcome="surrender", list_id=list_id)
    checked = follow(visitor, dealer, told)
    assert "Keep it for ever" in checked.text
    assert re.search("Closed on</th><td><bdi>still open", checked.text)
    at = f"/dealers/{dealer}/outcome"
    kept = visitor.post(f"/dealers/{dealer}/outcomes", told | {"step": "save"}, at=at)
    assert kept.headers["location"] == "/work?done=outcome"
    work = visitor.get(kept.headers["location"]).text
    assert "The outcome is kept." in work
    assert f'href="{at}"' in work
    mended = {"inspection_id": "I-7", "dealer": dealer, "opened_on": "2026-02-02",
              "outcome": "revocation"}  # fmt: skip
    answer = service.post("/v1/outcomes", "inspector", mended)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    # Read back as any other: what was kept does not go with the license.
    read = service.get(f"/v1/outcomes?dealer={dealer}", "inspector").json()["outcomes"]
    assert [one["outcome"] for one in read] == ["surrender", "revocation"]
    assert service.get("/v1/outcomes/I-7", "inspector").json()["version"] == 2
    # Who has another office is no nearer to it than before.
    assert Visitor(service, "inspector_west").get(at).status_code == 404
    assert service.post("/v1/outcomes", "inspector_west", mended).status_code == 404
    assert service.get("/v1/outcomes/I-7", "inspector_west").status_code == 404


def test_one_of_an_earlier_listing_alone_can_be_told_about(service, snapshot_of, tmp_path):
    dealer, number = left_out(service, snapshot_of, tmp_path)
    told = {"inspection_id": "I-8", "dealer": number, "opened_on": "2026-02-02",
            "closed_on": "2026-02-03", "outcome": "surrender"}  # fmt: skip
    answer = service.post("/v1/outcomes", "chief", told)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["dealer"], answer.json()["eligible_on"]) == (dealer, "2027-02-03")
    page = Visitor(service, "chief").get(f"/dealers/{dealer}/outcome").text
    assert "Gone Guns" in page
    assert GONE in page
    # The law is that of any dealer: another visit within the year has a basis.
    again = told | {"inspection_id": "I-9", "opened_on": "2026-05-04", "closed_on": None}
    assert service.post("/v1/outcomes", "chief", again).status_code == 409
    nobody = told | {"inspection_id": "I-9", "dealer": "9-99-99999"}
    assert service.post("/v1/outcomes", "chief", nobody).status_code == 404


def test_of_one_that_is_held_nothing_can_be_told(service, snapshot_of, tmp_path):
    dealer, _ = left_out(service, snapshot_of, tmp_path)
    holds.place(service.runtime.store, dealer, owners=["someone"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    told = {"inspection_id": "I-8", "dealer": dealer, "opened_on": "2026-02-02",
            "outcome": "surrender"}  # fmt: skip
    assert service.post("/v1/outcomes", "chief", told).status_code == 404
    assert Visitor(service, "chief").get(f"/dealers/{dealer}/outcome").status_code == 404
    assert n_outcomes(service) == 0
