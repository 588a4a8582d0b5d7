"""What was written can be followed: in order, once each, within the caller's area."""

import itertools
from datetime import date

from serving.scores import holds


def test_changes_come_in_order_once_each_and_only_of_the_area(service):
    listed = service.post("/v1/rank", "chief", {"k": 3, "random_share": 0}).json()
    rows = listed["rows"]
    body = {"list_id": listed["list_id"], "dealer": rows[0]["dealer"], "decision": "accept"}
    decision = service.post("/v1/decisions", "chief", body).json()["decision_id"]
    outcome = {"inspection_id": "I1", "dealer": rows[1]["dealer"], "opened_on": "2026-02-01",
               "outcome": "none"}  # fmt: skip
    service.post("/v1/outcomes", "chief", outcome)
    found = service.get("/v1/changes", "chief").json()
    assert [(one["kind"], one["ref"]) for one in found["changes"]] == [
        ("list", listed["list_id"]), ("decision", str(decision)), ("outcome", "I1"),
    ]  # fmt: skip
    seqs = [one["seq"] for one in found["changes"]]
    assert seqs == sorted(set(seqs))
    # Page by page it is the same, and at the end there is nothing new.
    since, seen = 0, []
    for _ in range(3):
        page = service.get(f"/v1/changes?since={since}&limit=1", "chief").json()
        seen += page["changes"]
        since = page["next"]
    assert seen == found["changes"]
    end = service.get(f"/v1/changes?since={since}", "chief").json()
    assert end == {"changes": [], "next": since}
    # Another's list is not named, and of another's area nothing is.
    kinds = {one["kind"] for one in service.get("/v1/changes", "scheduler").json()["changes"]}
    assert kinds == {"decision", "outcome"}
    own = service.get("/v1/changes", "supervisor").json()["changes"]
    divisions = {row["dealer"]: row["division"] for row in rows}
    assert all(divisions[d] == "division0" for one in own for d in one["dealers"])
    assert service.get("/v1/changes", "inspector").status_code == 403


def test_lists_are_named_and_an_unchanged_one_is_not_sent_again(service):
    listed = service.post("/v1/rank", "chief", {"k": 3}).json()
    named = service.get("/v1/lists", "chief").json()["lists"]
    assert [one["list_id"] for one in named] == [listed["list_id"]]
    assert service.get("/v1/lists", "inspector").json()["lists"] == []
    path = f"/v1/lists/{listed['list_id']}"
    first = service.get(path, "chief")
    again = service.get(path, "chief", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = service.get(path, "chief", headers={"If-None-Match": '"other"'})
    assert other.content == first.content


def test_what_is_only_of_a_held_dealer_is_not_there_for_others(service):
    dealers = [str(d) for d in service.runtime.snapshot.columns["dealer"][:2]]
    rows = [
        {"tip_id": f"T{n}", "dealer": dealer, "received_on": "2026-01-02", "source": "public",
         "is_self_report": False}
        for n, dealer in enumerate(dealers)
    ]  # fmt: skip
    for some in (rows[:1], rows):
        sent = [row | {"tip_id": f"{row['tip_id']}-{len(some)}"} for row in some]
        service.post("/v1/events", "scheduler", {"table": "tips", "rows": sent})
    before = service.get("/v1/changes", "chief").json()["changes"]
    assert [one["dealers"] for one in before] == [[dealers[0]], dealers]
    holds.place(service.runtime.store, dealers[0], owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    assert service.get("/v1/changes", "chief").json()["changes"] == before
    found = service.get("/v1/changes", "scheduler").json()["changes"]
    assert [(one["ref"], one["dealers"]) for one in found] == [("tips", [dealers[1]])]
    # Nor does a number tell that something was written: none is one more than the last, and what
    # to ask for next stays where it is, for who sees the whole country.
    asked = f"/v1/changes?since={found[-1]['seq']}"
    nothing = service.get(asked, "scheduler").json()
    for n in range(6):
        sent = rows[0] | {"tip_id": f"H{n}"}
        service.post("/v1/events", "scheduler", {"table": "tips", "rows": [sent]})
    assert service.get(asked, "scheduler").json() == nothing
    shown = service.get(asked, "chief").json()
    assert [one["dealers"] for one in shown["changes"]] == [[dealers[0]]] * 6
    own = [found[-1]["seq"], *(one["seq"] for one in shown["changes"])]
    assert {b - a for a, b in itertools.pairwise(own)} != {1}
    assert service.get(f"{asked}&limit=2", "scheduler").json() == nothing  # behind a full page too
    sent = rows[1] | {"tip_id": "L"}
    service.post("/v1/events", "scheduler", {"table": "tips", "rows": [sent]})
    last = service.get(f"{asked}&limit=2", "scheduler").json()
    assert [one["dealers"] for one in last["changes"]] == [[dealers[1]]]
    assert last["next"] == last["changes"][-1]["seq"]
