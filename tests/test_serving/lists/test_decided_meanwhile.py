"""A page that has been open for a while takes back nothing that others decided meanwhile."""

from __future__ import annotations

import re
from html import unescape

import pytest

from serving.lists.summaries import decisions_of
from serving.lists.work import assignments_of
from tests.test_serving.pages import Visitor


@pytest.fixture
def inspector(service):
    return Visitor(service, "inspector")


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


@pytest.fixture
def listed(service):
    return service.post("/v1/rank", "inspector", {"k": 20}).json()


def open_page(visitor, at):
    """Return the hidden fields of a page as it is now."""
    page = visitor.get(at).text
    return dict(re.findall(r'type="hidden" name="(csrf|looked_at)" value="([^"]*)"', page))


def send(visitor, path, fields):
    sent = visitor.http.post(path, data=fields, follow_redirects=False)
    return sent, unescape(visitor.get(sent.headers["location"]).text)


def override(service, listed, row, **changes):
    body = {"list_id": listed["list_id"], "dealer": listed["rows"][row]["dealer"],
            "decision": "override", "reason": "out_of_business"} | changes  # fmt: skip
    answer = service.post("/v1/decisions", "supervisor", body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("where", ["on this list", "on another list"])
def test_accepting_in_bulk_leaves_out_and_names_what_was_decided_since(
    service, inspector, listed, where
):
    at = f"/lists/{listed['list_id']}"
    fields = open_page(inspector, at)
    dealers = [row["dealer"] for row in listed["rows"][:3]]
    other = listed
    if where == "on another list":
        body = {"k": 20, "area": {"office": "office0"}}
        other = service.post("/v1/rank", "supervisor", body).json()
        dealers = [d for d in dealers if d in {row["dealer"] for row in other["rows"]}]
    override(service, other, 1, dealer=dealers[1])
    _, page = send(inspector, f"{at}/accept", fields | {"dealers": dealers})
    n = len(dealers) - 1
    assert f"{n} accepted. Not accepted: " in page
    assert "(overridden by supervisor: out of business)" in page
    made = decisions_of(service.runtime.store, listed["list_id"])
    accepted = {dealer for dealer, one in made.items() if one["decision"] == "accept"}
    assert accepted == {*dealers} - {dealers[1]}


def test_one_that_is_not_on_the_list_stops_no_other(service, inspector, listed):
    at = f"/lists/{listed['list_id']}"
    dealers = [row["dealer"] for row in listed["rows"][:3]]
    fields = open_page(inspector, at) | {"dealers": [dealers[0], "9-99-99999", *dealers[1:]]}
    _, page = send(inspector, f"{at}/accept", fields)
    assert "3 accepted. Not accepted: 9-99-99999" in page
    assert decisions_of(service.runtime.store, listed["list_id"]).keys() == {*dealers}


def test_more_than_a_page_holds_is_refused_whole(service, inspector, listed):
    at = f"/lists/{listed['list_id']}"
    many = [f"9-99-{n:05d}" for n in range(400)] + [listed["rows"][0]["dealer"]]
    _, page = send(inspector, f"{at}/accept", open_page(inspector, at) | {"dealers": many})
    assert "401 are ticked, none is taken" in page
    assert not decisions_of(service.runtime.store, listed["list_id"])


def test_a_single_decision_and_a_hand_over_look_again_too(service, inspector, supervisor, listed):
    at, dealer = f"/lists/{listed['list_id']}", listed["rows"][0]["dealer"]
    fields = open_page(inspector, at) | {"dealer": dealer}
    override(service, listed, 0)
    theirs = open_page(supervisor, at) | {"dealer": dealer, "to": "supervisor"}
    send(supervisor, f"{at}/assign", theirs)
    _, page = send(inspector, f"{at}/decisions", fields | {"decision": "accept"})
    assert "Overridden by supervisor: out of business" in page
    _, page = send(inspector, f"{at}/assign", fields | {"to": "inspector"})
    assert "To supervisor, by supervisor" in page
    store = service.runtime.store
    assert decisions_of(store, listed["list_id"])[dealer]["decision"] == "override"
    assert assignments_of(store, listed["list_id"]) == {dealer: "supervisor"}
    # Who has seen it decides as they see fit, and revises what they decided themselves.
    fields = open_page(inspector, at) | {"dealer": dealer}
    for decision in ("accept", "override"):
        sent, _ = send(
            inspector, f"{at}/decisions", fields | {"decision": decision, "reason": "capacity"}
        )
        assert "done=" in sent.headers["location"]
    assert decisions_of(store, listed["list_id"])[dealer]["who"] == "inspector"
