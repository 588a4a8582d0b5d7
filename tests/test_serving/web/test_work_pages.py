"""Work is not lost and not write-only; lists explain themselves."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html import unescape
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from serving.access import suspension
from serving.access.accounts import Principal
from serving.lists import work
from serving.lists.files import list_files
from serving.lists.files.passed_over import PassedOver, passed_over
from serving.scores import holds
from serving.web.lists.list_rows import log_part
from serving.web.plans.ask import Ask
from tests.test_serving.pages import Visitor


def test_a_refused_decision_keeps_its_note_at_its_row(inspector, listed):
    at = f"/lists/{listed['list_id']}"
    dealer = listed["rows"][2]["dealer"]
    answer = inspector.post(
        f"{at}/decisions",
        {"dealer": dealer, "decision": "override", "note": "saw them move out", "back": ""}, at=at,
    )  # fmt: skip
    assert answer.status_code == 422
    assert 'value="saw them move out"' in answer.text
    assert f'href="#d-{dealer}"' in answer.text


def test_what_a_refused_form_shows_again_is_held_to_the_rules_of_its_page(
    service, inspector, listed, free, audit_of, monkeypatch
):
    """Its purpose, the switch that stops lists, and the record of who saw whom."""
    monkeypatch.setattr("serving.access.suspension.LOOK_SECONDS", 0.0)
    at, dealer = f"/lists/{listed['list_id']}", listed["rows"][0]["dealer"]
    decision, handed = f"{at}/decisions", f"{at}/assign"
    without_reason = {"dealer": dealer, "decision": "override"}
    to_nobody = {"dealer": dealer, "to": "nobody"}

    def seen():
        return [(r["action"], r["list_id"]) for r in audit_of(service)[n_before:]]

    for path, form in ((decision, without_reason), (handed, to_nobody)):
        n_before = len(audit_of(service))
        assert inspector.post(path, form, at="/work").status_code == 422
        assert ("lists", listed["list_id"]) in seen()
    n_before = len(audit_of(service))
    sent = inspector.post(f"/dealers/{free}/outcomes", {}, at="/work")
    assert inspector.get(sent.headers["location"]).status_code == 422
    assert "outcomes" in [r["action"] for r in audit_of(service)[n_before:]]
    counting = Visitor(service, "inspector", purpose="statistics")
    for path, form in (
        (decision, without_reason), (handed, to_nobody), (f"/dealers/{free}/outcomes", {}),
        (decision, without_reason | {"from": "work"}),
    ):  # fmt: skip
        answer = counting.post(path, form, at="/measures")
        assert (answer.status_code, dealer in answer.text) == (403, False), path
        assert f"/dealers/{free}" not in answer.text
    ledger = service.runtime.ledger(
        service.runtime.directory.principal_of_token(service.tokens["chief"])
    )
    suspension.suspend(service.runtime.store, "a fault", ledger=ledger)
    for path, form in ((decision, without_reason), (handed, to_nobody)):
        answer = inspector.post(path, form, at="/work")
        assert (answer.status_code, dealer in answer.text) == (503, False), path


def test_decisions_are_seen_again_one_or_many_mine_and_handed_over(service, inspector, listed):
    at = f"/lists/{listed['list_id']}"
    first, second, third, fourth = (row["dealer"] for row in listed["rows"][:4])
    override = {"dealer": first, "decision": "override", "reason": "capacity", "note": "next month",
                "back": "why=model"}  # fmt: skip
    answer = inspector.post(f"{at}/decisions", override, at=at)
    assert answer.headers["location"] == f"{at}?why=model&done=override#d-{first}"
    many = inspector.post(f"{at}/accept", {"dealers": [second, third], "back": ""}, at=at)
    assert many.headers["location"] == f"{at}?done=bulk"
    handed = inspector.post(
        f"{at}/assign", {"dealer": fourth, "to": "inspector", "back": ""}, at=at
    )
    assert handed.status_code == 303
    lost = inspector.post(f"{at}/assign", {"dealer": fourth, "to": "Nobody", "back": ""}, at=at)
    assert lost.status_code == 422
    assert "No inspector or supervisor signs in as nobody" in lost.text
    assert 'value="Nobody"' in lost.text
    work = inspector.get("/work").text
    assert "next month" in work
    assert work.count("accepted") == 2
    assert f"/dealers/{fourth}" in work
    assert (
        "overridden by inspector, no capacity: next month"
        in inspector.get(f"/dealers/{first}").text
    )
    entries = service.get(f"/v1/dealers/{first}", "inspector").json()["timeline"]
    assert entries[0]["table"] == "decisions"


def test_what_was_decided_on_another_list_is_not_still_to_be_decided(service, inspector):
    supervisor = Visitor(service, "supervisor")
    ask = {"area": {"office": "office0"}, "k": 5}
    older = service.post("/v1/rank", "inspector", ask).json()
    lead = service.post("/v1/rank", "supervisor", ask).json()
    newer = service.post("/v1/rank", "inspector", ask | {"k": 6}).json()
    first, second = (row["dealer"] for row in lead["rows"][:2])
    at = f"/lists/{lead['list_id']}"
    for dealer in (first, second):
        handed = supervisor.post(
            f"{at}/assign", {"dealer": dealer, "to": "inspector", "back": ""}, at=at
        )
        assert handed.status_code == 303

    def is_decided(dealer):
        work = inspector.get("/work").text.split("My decisions")[0]
        (row,) = (row for row in work.split("<tr>") if f"/dealers/{dealer}?" in row)
        return re.search(r"<td>(accepted|overridden) [0-9-]{10}( on another list)?[:<]", row)

    assert not is_decided(first)
    assert not is_decided(second)
    said = {"dealer": first, "decision": "override", "reason": "out_of_business"}
    body = {"list_id": newer["list_id"], **said}
    assert service.post("/v1/decisions", "inspector", body).status_code == 200
    assert is_decided(first)
    assert not is_decided(second)
    # On which list does not matter, only that it was after the row was listed.
    body = {"list_id": older["list_id"], "dealer": second, "decision": "accept"}
    assert service.post("/v1/decisions", "inspector", body).status_code == 200
    assert is_decided(second)


def test_who_was_handed_a_row_decides_about_it_and_about_no_other(service, inspector):
    supervisor = Visitor(service, "supervisor")
    ask = {"area": {"division": "division0"}, "k": 40, "random_share": 0}
    listed = service.post("/v1/rank", "supervisor", ask).json()
    at = f"/lists/{listed['list_id']}"
    store = service.runtime.store
    who = service.runtime.directory.principal_of_token(service.tokens["supervisor"])
    near = [row["dealer"] for row in listed["rows"] if row["office"] == "office0"]
    far = next(row["dealer"] for row in listed["rows"] if row["office"] != "office0")
    handed, held, other = near[:3]
    for dealer in (handed, held):
        form = {"dealer": dealer, "to": "Inspector", "back": ""}
        assert supervisor.post(f"{at}/assign", form, at=at).status_code == 303
    # What they would never see is not handed over; handed before their area was another, it is.
    lost = supervisor.post(f"{at}/assign", form | {"dealer": far}, at=at)
    assert lost.status_code == 422
    assert "The dealer is not within what inspector sees: nothing was handed over." in lost.text
    work.assign(
        store, list_id=listed["list_id"], dealer=far, to="inspector",
        ledger=service.runtime.ledger(who),
    )  # fmt: skip

    def decide(dealer, **more):
        form = {"dealer": dealer, "from": "work", "decision": "accept"} | more
        return inspector.post(f"{at}/decisions", form, at="/work")

    text = inspector.get("/work").text
    assert text.count(f'action="{at}/decisions"') == 2
    assert far not in text
    # The dossier leads back to the work, not to a list that is not theirs.
    assert inspector.get(at).status_code == 404
    dossier = inspector.get(f"/dealers/{handed}?list={listed['list_id']}").text
    assert at not in dossier
    assert '<a href="/work">My work</a>' in dossier
    lost = decide(handed, decision="override", note="ask me")
    assert lost.status_code == 422
    assert "Choose a reason to override" in lost.text
    assert 'value="ask me"' in lost.text
    holds.place(service.runtime.store, held, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    for dealer in (held, far, other):
        refused = decide(dealer)
        assert refused.status_code == 422
        assert "There is no such list, or it is not yours" in refused.text
        body = {"list_id": listed["list_id"], "dealer": dealer, "decision": "accept"}
        assert service.post("/v1/decisions", "inspector", body).status_code == 404
    done = decide(handed, decision="override", reason="capacity")
    assert done.headers["location"] == "/work?done=override"
    text = inspector.get("/work?done=override").text
    assert "The dealer is overridden." in text
    assert re.search(r"<td>overridden [0-9-]{10}: no capacity</td>", text)
    assert at not in text
    # Whose list it is sees it there; handed to somebody else, it is theirs to decide.
    assert "no capacity" in supervisor.get(at).text
    form = {"dealer": handed, "to": "supervisor", "back": ""}
    assert supervisor.post(f"{at}/assign", form, at=at).status_code == 303
    assert decide(handed).status_code == 422


def test_a_row_is_handed_to_whom_the_issuer_calls_by_a_name_with_capitals(service):
    who = Principal("oidc:Kx7-Qq", "inspector", frozenset({"office:office0"}), "oidc")
    service.runtime.directory.start_session(who, "licensing", hours=1)
    supervisor = Visitor(service, "supervisor")
    supervisor_list = service.post(
        "/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 2, "random_share": 0}
    ).json()
    at, dealer = f"/lists/{supervisor_list['list_id']}", supervisor_list["rows"][0]["dealer"]
    form = {"dealer": dealer, "back": ""}
    for typed, status in (("OIDC:kx7-qq", 422), ("oidc:Kx7-Qq ", 303)):
        answer = supervisor.post(f"{at}/assign", form | {"to": typed}, at=at)
        assert answer.status_code == status
    handed = work.assignments_of(service.runtime.store, supervisor_list["list_id"])
    assert handed == {dealer: "oidc:Kx7-Qq"}
    assert Ask(names="Maria, oidc:Kx7-Qq", investigators=2).people == ("maria", "oidc:Kx7-Qq")
    # Who signed in since as somebody of another office sees the row no more.
    moved = replace(who, areas=frozenset({"office:office4"}))
    service.runtime.directory.start_session(moved, "licensing", hours=1)
    assert supervisor.post(f"{at}/assign", form | {"to": who.name}, at=at).status_code == 422


def test_an_address_cannot_write_onto_the_page(inspector, listed):
    text = inspector.get(f"/lists/{listed['list_id']}?saved=You+are+hacked&done=You+lost").text
    assert "hacked" not in text
    assert "You lost" not in text


def test_the_way_back_keeps_the_filter_and_nothing_else(inspector, listed):
    at = f"/lists/{listed['list_id']}"
    text = inspector.get(f"{at}?why=model&sort=name").text
    link = unescape(re.search(r'class="name" href="([^"]+)"', text)[1])
    dossier = unescape(inspector.get(link).text)
    assert f'href="{at}?why=model&sort=name#d-' in dossier
    forged = link.split("&back=")[0] + "&" + urlencode({"back": "x=javascript:alert(1)&why=model"})
    assert "javascript" not in inspector.get(forged).text


def test_a_long_list_is_never_one_page_without_end(inspector, listed, monkeypatch):
    monkeypatch.setattr("serving.web.lists.pages.MOST_ON_A_PAGE", 3)
    at = f"/lists/{listed['list_id']}"
    n = len(listed["rows"])
    text = inspector.get(f"{at}?all=true").text
    assert text.count('class="pos"') == 3
    assert f"Page 1 of {-(-n // 3)}" in text
    assert "to print" not in text
    monkeypatch.setattr("serving.web.lists.pages.MOST_ON_A_PAGE", n)
    assert inspector.get(f"{at}?all=true").text.count('class="pos"') == n


def test_a_list_of_nobody_says_so_and_offers_nothing_to_show(service, inspector):
    listed = service.post("/v1/rank", "inspector", {"k": 10, "area": {"state": "GU"}}).json()
    assert listed["rows"] == []
    text = inspector.get(f"/lists/{listed['list_id']}").text
    assert "10 asked for, none given: the area has no such dealer on record." in text
    assert "No dealer is on this list" in text
    assert "Show all 0" not in text


def test_views_are_saved_by_name(inspector, listed):
    at = f"/lists/{listed['list_id']}"
    form = {"name": "Recalls <b>", "list_id": listed["list_id"], "back": "why=recall&sort=last"}
    assert inspector.post("/views", form, at=at).status_code == 303
    text = inspector.get(at).text
    assert "why=recall&amp;sort=last" in text
    assert "Recalls &lt;b&gt;" in text


def test_fewer_than_asked_for_says_why(service, inspector):
    few = service.post("/v1/rank", "inspector", {"k": 400}).json()
    text = inspector.get(f"/lists/{few['list_id']}").text
    assert f"400 asked for, {len(few['rows'])} given" in text


def test_a_head_moves_a_priority_by_its_logarithm():
    for head, value in (("compliance", 0.2), ("mexico", 3.5)):
        moved = log_part(head, value * 1.5) - log_part(head, value)
        assert moved > 0
    assert log_part("compliance", 0.5) == pytest.approx(0.0)
    assert log_part("diversion", 1.0) == pytest.approx(0.0)


def test_the_parts_of_the_random_share_add_up_under_the_list(service, inspector):
    document = service.post("/v1/rank", "inspector", {"k": 30, "random_share": 0.1}).json()
    design = document["design"]
    outside = design["n_by_why"].get("random", 0)
    text = inspector.get(f"/lists/{document['list_id']}").text
    assert f"drawn at random, {outside} stand outside" in text
    assert f"and {design['n_mandatory'] - outside} among it" in text
    assert design["n_mandatory"] == 3


def test_a_decision_on_another_list_since_stands_beside_the_row(service, inspector):
    first, second = (
        service.post("/v1/rank", name, {"k": 5, "area": {"office": "office0"}}).json()
        for name in ("supervisor", "inspector")
    )
    shared = {row["dealer"] for row in first["rows"]} & {row["dealer"] for row in second["rows"]}
    dealer = min(shared)
    body = {"list_id": first["list_id"], "dealer": dealer, "decision": "override",
            "reason": "recently_visited"}  # fmt: skip
    at = f"/lists/{second['list_id']}"
    assert "on another list" not in inspector.get(at).text
    assert service.post("/v1/decisions", "supervisor", body).status_code == 200
    row = inspector.get(at).text.split(f'id="d-{dealer}"')[1].split("</tr>")[0]
    assert re.search(r"Overridden \d{4}-\d\d-\d\d on another list: recently visited\.", row)
    assert inspector.get(at).text.count("on another list") == 1
    body |= {"list_id": second["list_id"], "decision": "accept", "reason": None}
    assert service.post("/v1/decisions", "inspector", body).status_code == 200
    assert "on another list" not in inspector.get(at).text


def test_an_inspector_is_told_who_else_issued_a_list_of_the_office_and_not_what_is_on_it(
    service, inspector
):
    assert "Issued by others" not in inspector.get("/lists").text
    whole = service.post("/v1/rank", "chief", {"k": 60}).json()
    assert len({row["office"] for row in whole["rows"]}) > 1
    assert "Issued by others" not in inspector.get("/lists").text
    own = service.post("/v1/rank", "supervisor", {"k": 5, "area": {"office": "office0"}}).json()
    text = inspector.get("/lists").text
    told = text.split("Issued by others for your office")[1].split("</ul>")[0]
    assert re.findall(r"<li>(\w+), ", told) == ["supervisor"]
    assert "No list of yours yet" in text
    assert own["list_id"] not in text
    assert inspector.get(f"/lists/{own['list_id']}").status_code == 404


def test_whom_work_can_be_handed_to_is_named_of_the_own_offices_alone(service, inspector):
    for name, office in (("colleague", "office0"), ("stranger", "office9")):
        service.runtime.directory.add_account(name, "inspector", areas=[f"office:{office}"])
    service.runtime.directory.add_account("leaver", "inspector", areas=["office:office0"])
    service.runtime.directory.set_active("leaver", False)
    plan = Visitor(service, "supervisor").get("/plan").text
    assert "Inspectors of the offices to choose from: colleague, inspector.</p>" in plan
    issued = service.post("/v1/rank", "inspector", {"k": 3}).json()["list_id"]
    page = inspector.get(f"/lists/{issued}").text
    named = page.split('<datalist id="people">')[1].split("</datalist>")[0]
    assert re.findall(r'value="([^"]*)"', named) == ["colleague"]
    assert page.count('list="people"') == 3


def test_a_list_says_whom_it_passed_over_and_who_of_them_may_be_visited_by_now(
    service, inspector, listed, monkeypatch, audit_of
):
    columns = service.runtime.snapshot.columns
    as_of, own = service.runtime.snapshot.as_of, columns["office"] == "office0"
    days = columns["eligible_on"].astype("datetime64[D]")
    barred = own & (days > np.datetime64(as_of))
    today = np.sort(days[barred])[barred.sum() // 2].item()
    monkeypatch.setattr("serving.clock.today", lambda: today)
    free = columns["dealer"][barred & (days <= np.datetime64(today))].tolist()
    assert 0 < len(free) < barred.sum()
    page = inspector.get(f"/lists/{listed['list_id']}").text
    said = re.search(r"<b>(\d+) passed over .*?</details></div>", page, re.DOTALL)
    assert said is not None
    assert int(said[1]) == barred.sum()
    assert f"as of {as_of}" in said[0]
    assert f"{len(free)} of them may be visited today, {today}" in said[0]
    named = re.findall(r'href="/dealers/([^"]+)/place#hand-title"', said[0])
    assert sorted(named) == sorted(free)
    priority = dict(zip(columns["dealer"], columns["priority"], strict=True))
    assert named == sorted(named, key=lambda dealer: -priority[dealer])
    record = [one for one in audit_of(service) if one["action"] == "lists"][-1]
    assert record["subject"].split() == [listed["list_id"], *sorted(free)]
    last = min(free, key=priority.__getitem__)
    text = re.sub(r"\s+", " ", inspector.get(f"/dealers/{last}/place").text)
    ahead = sum(own & ~barred & (columns["priority"] > priority[last]))
    assert f"{ahead or 'None'} of the office's {sum(own & ~barred)} dealers that could be" in text
    assert f"visited on {as_of}, the day that lists go by" in text
    n = len(free) - 1
    assert f"{n} more may be visited by today, {today} (UTC); {n} of these have a higher" in text
    # A visit told since bars again: not named, and still one that the list passed over.
    told = {"inspection_id": "I-9", "dealer": last, "kind": "compliance", "outcome": "none",
            "opened_on": today.isoformat(), "selected_by": "risk"}  # fmt: skip
    assert service.post("/v1/outcomes", "inspector", told).status_code in {200, 201}
    page = inspector.get(f"/lists/{listed['list_id']}").text
    assert f"<b>{barred.sum()} passed over" in page
    assert f"{n} of them may be visited today" in page
    assert f"/dealers/{last}/place" not in page


def test_nobody_is_named_of_a_list_from_other_scores_than_those_in_force(service, listed):
    scope = service.runtime.scope(
        Principal("inspector", "inspector", frozenset(["office:office0"]))
    )
    here = passed_over(service.runtime.store, scope, listed)
    assert here.n_now is not None
    other = {**listed, "basis": {**listed["basis"], "fingerprint": "0" * 64}}
    assert passed_over(service.runtime.store, scope, other) == PassedOver(here.n)


def test_the_paper_of_a_list_says_what_was_decided_and_with_whom_a_dealer_stands(
    service, inspector, listed, monkeypatch
):
    """Typesetting is another's: what is handed to it is what is read."""
    dealers = [row["dealer"] for row in listed["rows"][:3]]
    at, path = f"/lists/{listed['list_id']}", f"/v1/lists/{listed['list_id']}.pdf"
    papers: list[dict[str, Any]] = []
    monkeypatch.setattr(list_files, "pdf", lambda _, content, **__: papers.append(content) or b"%")
    before = service.get(path, "inspector").headers["etag"]
    first = {"dealer": dealers[0], "decision": "override", "reason": "recently_visited",
             "note": "seen <in> May"}  # fmt: skip
    assert inspector.post(f"{at}/decisions", first, at=at).status_code == 303
    second = {"dealer": dealers[1], "decision": "accept"}
    assert inspector.post(f"{at}/decisions", second, at=at).status_code == 303
    handed = {"dealer": dealers[1], "to": "supervisor"}
    assert inspector.post(f"{at}/assign", handed, at=at).status_code == 303
    assert service.get(path, "inspector").headers["etag"] != before
    facts = [row["facts"] for row in papers[-1]["rows"]]
    day = r"\d{4}-\d\d-\d\d"
    assert re.match(rf"Overridden {day}: recently visited; seen <in> May\. On the list", facts[0])
    assert re.match(rf"Accepted {day}\. With supervisor\. On the list", facts[1])
    assert facts[2:] == [row["facts"] for row in papers[0]["rows"]][2:]
    row = inspector.get(at).text.split(f'id="d-{dealers[0]}"')[1].split("</tr>")[0]
    assert "recently visited: <bdi>seen &lt;in&gt; May</bdi>" in row
    service.get(path, "auditor")
    assert not any(re.match("Overridden|Accepted", row["facts"]) for row in papers[-1]["rows"])
