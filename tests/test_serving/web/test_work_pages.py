"""Work is not lost and not write-only; lists explain themselves."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from urllib.parse import urlencode

import numpy as np
import pytest
import sqlalchemy as sa

from serving.lists import list_files
from serving.scores import holds
from serving.store.database import instant
from serving.store.tables import OUTCOMES, SESSIONS
from serving.web.dealers.timeline import timeline
from serving.web.lists.list_rows import Ask, change_in_words, log_part
from tests.test_serving.pages import Visitor


@pytest.fixture
def inspector(service):
    return Visitor(service, "inspector")


@pytest.fixture
def free(service):
    """A dealer of the inspector's office that was never inspected."""
    columns = service.runtime.snapshot.columns
    return str(
        columns["dealer"][(columns["office"] == "office0") & (columns["n_inspections"] == 0)][0]
    )


@pytest.fixture
def listed(service):
    return service.post("/v1/rank", "inspector", {"k": 20}).json()


def outcome(**changes):
    return {
        "step": "check", "inspection_id": "I-7", "kind": "compliance", "selected_by": "risk",
        "opened_on": "2026-02-02", "outcome": "report", "citation_0": "27 CFR 478.124 (C)(1)",
        "willful_0": "1", "instances_0": "3",
    } | changes  # fmt: skip


def follow(visitor, dealer, fields):
    """Send the form and load the page that its answer is the address of."""
    sent = visitor.post(f"/dealers/{dealer}/outcomes", fields, at=f"/dealers/{dealer}/outcome")
    assert sent.status_code == 303, sent.text
    return visitor.get(sent.headers["location"])


def n_outcomes(service):
    with service.runtime.store.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(OUTCOMES))


def test_an_outcome_is_checked_before_it_is_kept_and_stands_on_the_timeline_at_once(
    service, inspector, free
):
    at = f"/dealers/{free}/outcome"
    checked = follow(inspector, free, outcome())
    assert checked.status_code == 200
    assert "478.124(c)(1)" in checked.text
    assert "report of violations" in checked.text
    assert n_outcomes(service) == 0
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', checked.text))
    fields.pop("csrf")
    fields = {name: unescape(value) for name, value in fields.items()} | {"step": "save"}
    kept = inspector.post(f"/dealers/{free}/outcomes", fields, at=at)
    assert kept.status_code == 303
    page = inspector.get(f"/dealers/{free}").text
    assert "compliance inspection, outcome report of violations" in page
    assert "cited 478.124(c)(1)" in page
    assert "told by inspector" in page
    entries = service.get(f"/v1/dealers/{free}", "inspector").json()["timeline"]
    assert [e["table"] for e in entries if e["record_id"] == "I-7"] == ["outcomes"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"citation_0": "banana split"}, "citation_0"),
        ({"inspection_id": ""}, "inspection_id"),
        ({"outcome": ""}, "outcome"),
        ({"opened_on": "2999-01-01"}, "opened_on"),
        ({"closed_on": "2026-01-01"}, "closed_on"),
        ({"hours": "many"}, "hours"),
        ({"instances_0": "three"}, "instances_0"),
        ({"instances_0": "9" * 40}, "instances_0"),
        (
            {"firearms_unaccounted_initial": "3", "firearms_unaccounted_final": "7"},
            "firearms_unaccounted_final",
        ),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(
    service, inspector, free, changes, field
):
    answer = follow(inspector, free, outcome(**changes))
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', answer.text)
    assert f'id="{field}-error"' in answer.text
    assert answer.text.split("<title>")[1].startswith("Error: ")
    for name, value in outcome(**changes).items():
        if name not in {"step", "kind", "selected_by", "outcome", "willful_0"} and value:
            assert f'value="{value}"' in answer.text, name
    assert n_outcomes(service) == 0


def test_the_number_of_another_dealers_inspection_is_refused(service, inspector, free):
    columns = service.runtime.snapshot.columns
    never = (columns["office"] == "office0") & (columns["n_inspections"] == 0)
    other = str(columns["dealer"][never][1])
    body = {"inspection_id": "I-7", "dealer": other, "opened_on": "2026-02-02", "outcome": "none"}
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    answer = follow(inspector, free, outcome())
    assert answer.status_code == 422
    assert "another dealer" in answer.text


def test_a_change_of_outcome_is_said_before_it_is_kept(service, inspector, free):
    body = {"inspection_id": "I-7", "dealer": free, "opened_on": "2026-02-02", "outcome": "none"}
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    answer = follow(inspector, free, outcome(outcome="revocation"))
    assert "Outcome: no violation becomes revocation or denied renewal" in answer.text
    assert "Citations: none become 478.124(c)(1)" in answer.text
    assert n_outcomes(service) == 1


def test_a_form_whose_session_ended_is_given_back_after_signing_in(service, inspector, free):
    inspector.get(f"/dealers/{free}/outcome")
    past = instant(datetime.now(UTC) - timedelta(minutes=1))
    with service.runtime.store.write() as connection:
        connection.execute(sa.update(SESSIONS).values(expires_at=past))
    service.runtime.directory.__dict__.get("_sessions", {}).clear()
    lost = inspector.http.post(
        f"/dealers/{free}/outcomes", data=outcome(csrf="old"), follow_redirects=False
    )
    assert lost.status_code == 401
    assert "your form is given back" in lost.text
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', lost.text))
    fields = {name: unescape(value) for name, value in hidden.items()}
    fields |= {"token": service.tokens["inspector"], "purpose": "licensing"}
    back = inspector.http.post("/sign-in", data=fields, follow_redirects=False)
    assert back.status_code == 303
    back = inspector.get(back.headers["location"])
    assert back.status_code == 200
    assert "Your form is still here" in back.text
    assert "Citation 1" in back.text
    assert "27 CFR 478.124 (C)(1)" in unescape(back.text)
    assert 'name="csrf" value="old"' not in back.text
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', back.text))
    sent = {name: unescape(value) for name, value in hidden.items()}
    assert inspector.http.post(f"/dealers/{free}/outcomes", data=sent).status_code == 200
    assert n_outcomes(service) == 0


def test_a_form_of_another_site_is_never_given_back(service, free):
    visitor = Visitor(service, "inspector")
    visitor.http.cookies.clear()
    answer = visitor.http.post(
        f"/dealers/{free}/outcomes", data=outcome(), follow_redirects=False,
        headers={"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"},
    )  # fmt: skip
    assert answer.status_code == 303
    assert "I-7" not in answer.text


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
        return "<td>yes</td>" in row

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
    near = [row["dealer"] for row in listed["rows"] if row["office"] == "office0"]
    far = next(row["dealer"] for row in listed["rows"] if row["office"] != "office0")
    handed, held, other = near[:3]
    for dealer in (handed, held, far):
        form = {"dealer": dealer, "to": "inspector", "back": ""}
        assert supervisor.post(f"{at}/assign", form, at=at).status_code == 303

    def decide(dealer, **more):
        form = {"dealer": dealer, "from": "work", "decision": "accept"} | more
        return inspector.post(f"{at}/decisions", form, at="/work")

    work = inspector.get("/work").text
    assert work.count(f'action="{at}/decisions"') == 2
    assert far not in work
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
    work = inspector.get("/work?done=override").text
    assert "The dealer is overridden." in work
    assert "<td>yes</td>" in work
    assert at not in work
    # Whose list it is sees it there; handed to somebody else, it is theirs to decide.
    assert "no capacity" in supervisor.get(at).text
    form = {"dealer": handed, "to": "supervisor", "back": ""}
    assert supervisor.post(f"{at}/assign", form, at=at).status_code == 303
    assert decide(handed).status_code == 422


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


def test_a_new_draw_is_told_apart_from_what_changed():
    def row(dealer, why, before=None):
        return {"dealer": dealer, "why": [why], "change": {"previous_position": before}}

    now = {"rows": [row("a", "model", 1), row("b", "random"), row("c", "model")],
           "change": {"previous_list": "L", "left": ["x", "y"]}}  # fmt: skip
    old = {"rows": [row("x", "random"), row("y", "model"), row("a", "model")]}
    found = change_in_words(now, old)
    assert (found["n_entered"], found["n_drawn"]) == (1, 1)
    assert [gone["dealer"] for gone in found["left"]] == ["y"]
    assert found["n_drawn_before"] == 1
    assert found["n_more"] == 0
    # Two places more than before: of three that came on, two would have without any news.
    more = {"rows": [*now["rows"], row("d", "model"), row("e", "recall")], "change": now["change"]}
    found = change_in_words(more, old)
    assert (found["n_entered"], found["n_more"]) == (3, 2)


def test_a_list_twice_as_long_says_that_dealers_came_on_for_its_places(service, inspector):
    for k in (4, 8):
        document = service.post("/v1/rank", "inspector", {"k": k, "random_share": 0}).json()
    assert document["change"]["n_entered"] == 4
    text = " ".join(inspector.get(f"/lists/{document['list_id']}").text.split())
    assert "4 came on, all of them as it has more places, and 0 went off;" in text


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


def test_a_dossier_says_what_would_take_a_dealer_below_the_first_places(
    service, inspector, monkeypatch
):
    view = service.runtime.snapshot
    own = view.columns["office"] == "office0"
    free = own & (view.columns["eligible_on"] <= np.datetime64(view.as_of))
    ranks = np.where(free, view.columns["priority"], np.nan)
    first, last = (str(view.columns["dealer"][at]) for at in (np.nanargmax(ranks),
                                                              np.nanargmin(ranks)))  # fmt: skip
    said = "A list that it is on says there why"
    monkeypatch.setattr("serving.web.dealers.pages._K", 3)
    assert (
        "It would fall below them if all of this were so:"
        in inspector.get(f"/dealers/{first}").text
    )
    page = inspector.get(f"/dealers/{last}").text
    assert "It is not among the office’s first 3 by priority" in page
    assert said not in page
    by_hand = {"k": 5, "manual": [{"dealer": last, "reason": "a tip", "legal_basis": None}]}
    assert service.post("/v1/rank", "inspector", by_hand).status_code == 200
    assert said in inspector.get(f"/dealers/{last}").text
    monkeypatch.setattr("serving.dealers.explaining._can_change", lambda *_: False)
    assert "can change with time or a visit" in inspector.get(f"/dealers/{first}").text
    monkeypatch.setattr("serving.web.dealers.pages._K", 4_000)
    assert "No more than 4000 dealers of the office" in inspector.get(f"/dealers/{first}").text


def test_a_recall_is_named_as_what_used_up_the_year_and_a_closed_visit_as_closed(
    service, inspector, free
):
    at = f"/dealers/{free}/outcome"
    fields = outcome(step="save", kind="recall", selected_by="recall", closed_on="2026-02-03")
    kept = inspector.post(f"/dealers/{free}/outcomes", fields, at=at)
    page = inspector.get(kept.headers["location"]).text
    assert "The recall inspection opened 2026-02-02 used up the yearly allowance" in page
    assert "The visit is closed: the next training reads it." in page
    assert (
        "a compliance or recall inspection within twelve months"
        in inspector.get(f"/dealers/{free}/place").text
    )


def test_why_not_on_the_list_names_rank_cut_and_law(service, inspector, monkeypatch):
    columns = service.runtime.snapshot.columns
    own = columns["office"] == "office0"
    late = own & (columns["eligible_on"] > np.datetime64("2026-01-01"))
    dealer, other = str(columns["dealer"][late][0]), str(columns["dealer"][own][0])
    until = columns["eligible_on"][late][0].astype("datetime64[D]").item()
    monkeypatch.setattr("serving.web.lists.standing.clock.today", lambda: until)
    text = inspector.get(f"/dealers/{dealer}/place?k=5&against={other}").text
    assert f"may be visited since {until}" in text
    assert "may not be visited before" not in text
    monkeypatch.setattr("serving.web.lists.standing.clock.today", lambda: until - timedelta(days=1))
    text = inspector.get(f"/dealers/{dealer}/place?k=5&against={other}").text
    assert "It is not among the office" in text
    assert "may not be visited before" in text
    assert "Side by side" in text
    assert inspector.get("/dealers/1-99-99999/place").status_code == 404
    name = str(columns["business_name"][own][0] or columns["licensee_name"][own][0]).split()[0]
    named = inspector.get(f"/dealers/{dealer}/place?against={name}")
    assert named.status_code == 200
    assert "Which dealer is meant?" in named.text or "Side by side" in named.text
    nobody = inspector.get(f"/dealers/{dealer}/place?against=nobody+at+all")
    assert "No dealer within your area matches" in nobody.text


def test_a_dealer_is_put_on_a_list_by_hand_with_its_reason(inspector, service, free):
    form = {"manual_reason": "tip of a neighbor's", "k": "5"}
    at = f"/dealers/{free}/place"
    answer = inspector.post(f"/dealers/{free}/list", form, at=at)
    assert answer.status_code == 303
    text = unescape(inspector.get(answer.headers["location"]).text)
    assert "tip of a neighbor's" in text


def test_what_is_wrong_with_a_list_by_hand_stands_at_its_field(inspector, service, free):
    columns = service.runtime.snapshot.columns
    shut = columns["eligible_on"] > np.datetime64(service.runtime.snapshot.as_of)
    visited = str(columns["dealer"][(columns["office"] == "office0") & shut][0])
    for dealer, form, field in (
        (visited, {"manual_reason": "told", "k": "5"}, "legal_basis"),
        (free, {"manual_reason": "", "k": "5"}, "manual_reason"),
    ):
        at = f"/dealers/{dealer}/place"
        answer = inspector.post(f"/dealers/{dealer}/list", form, at=at)
        assert answer.status_code == 422
        assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', answer.text)
        assert f'href="#{field}"' in answer.text
        assert f'value="{form["manual_reason"]}"' in answer.text
        assert "legal_basis:" not in answer.text
    basis = {"manual_reason": "told", "k": "5", "legal_basis": "warrant"}
    at = f"/dealers/{visited}/place"
    assert inspector.post(f"/dealers/{visited}/list", basis, at=at).status_code == 303
    assert inspector.post("/dealers/9-99-99999/list", basis, at=at).status_code == 404


def test_a_timeline_counts_what_is_many_and_shows_what_matters():
    entries = [
        {"on": "2025-03-04", "table": "traces", "what": "t", "record_id": f"T{i}"}
        for i in range(40)
    ] + [{"on": "2024-01-04", "table": "inspections", "what": "i", "record_id": "I1"}]
    found = timeline(entries)
    assert [entry["record_id"] for entry in found.in_sight] == ["I1"]
    assert [(year.name, year.said) for year in found.years] == [("2025", "40 traces")]
    assert found.years[0].months[0].said == "40 traces"
    assert found.bars[-1].n == 40


def test_old_records_are_said_to_be_old_on_every_page(service, inspector):
    for path in ("/lists", "/dealers", "/map", "/model"):
        text = inspector.get(path).text
        assert "On records known before 2026-01-01." in text
        assert "days old" in text


def test_pages_are_compressed_when_the_browser_reads_that(inspector):
    plain = inspector.http.get("/lists", headers={"Accept-Encoding": "identity"})
    small = inspector.http.get("/lists", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert re.sub(r'value="[^"]*"', "", small.text) == re.sub(r'value="[^"]*"', "", plain.text)
    css = re.search(r'href="(/static/site\.css[^"]*)"', plain.text)[1]
    assert inspector.http.get(css).headers["content-encoding"] == "gzip"


def test_an_address_that_is_not_there_is_a_page_to_a_person(inspector):
    answer = inspector.http.get("/nowhere", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert (
        inspector.http.get("/v1/nowhere").headers["content-type"].startswith("application/problem")
    )


def test_a_saved_query_holds_only_what_a_list_is_asked_for():
    assert Ask(why="model", done="accept").query() == "why=model"


def test_the_field_packet_has_at_most_two_tagged_pages(service, inspector, free):
    content = inspector.get(f"/dealers/{free}/packet.pdf").content
    assert content.startswith(b"%PDF")
    assert b"StructTreeRoot" in content
    assert b"pdfuaid" in content
    assert 1 <= len(re.findall(rb"/Type */Page[^s]", content)) <= 2
    assert content == inspector.get(f"/dealers/{free}/packet.pdf").content
    assert inspector.get("/dealers/1-99-99999/packet.pdf").status_code == 404


def test_a_packet_of_a_busy_dealer_counts_traces_by_year_and_destination():
    from serving.dealers.field_packet import _by_year

    found = _by_year([(2024, "domestic", 3), (2024, "mexico", 2), (2023, "domestic", 400)])
    assert found[0][0] == "Year"
    assert found[1][0] == "2024"
    assert found[1][-1] == "5"
    assert [row[-1] for row in found[1:]] == ["5", "400"]


def test_a_visit_told_after_a_list_is_shown_at_its_row_and_counts_as_done(
    service, inspector, listed, monkeypatch
):
    first = next(row for row in listed["rows"] if row["is_eligible"])
    dealer, at = first["dealer"], f"/v1/lists/{listed['list_id']}"
    path = f"/lists/{listed['list_id']}"
    before = {kind: service.get(f"{at}{kind}", "inspector") for kind in ("", ".csv", ".pdf")}
    assert "outcome told" not in inspector.get(path).text
    today = service.runtime.snapshot.as_of.isoformat()
    told = {"inspection_id": "I-77", "dealer": dealer, "kind": "recall", "opened_on": today,
            "closed_on": today, "outcome": "report", "selected_by": "risk"}  # fmt: skip
    answer = service.post("/v1/outcomes", "inspector", told)
    assert answer.status_code in {200, 201}, answer.text
    until = str(service.get(f"/v1/dealers/{dealer}", "inspector").json()["score"]["eligible_on"])
    page = inspector.get(path).text
    row = page[page.index(f'id="d-{dealer}"') :].split("</tr>")[0]
    assert f"Visited {today}: outcome told; not before {until}." in row
    assert "eligible</span>" not in row
    assert f'id="d-{dealer}"' not in inspector.get(f"{path}?decided=open").text
    assert f'id="d-{dealer}"' in inspector.get(f"{path}?decided=visited").text
    summary = service.get("/v1/lists", "inspector").json()["lists"][0]
    assert (summary["list_id"], summary["n_decided"]) == (listed["list_id"], 1)
    assert "recall, from" in inspector.get("/work").text
    for kind in ("", ".csv"):
        assert service.get(f"{at}{kind}", "inspector").content == before[kind].content
    papers = []
    monkeypatch.setattr(
        list_files, "pdf", lambda _, content, **__: papers.append(content) or b"%PDF-"
    )
    service.get(f"{at}.pdf", "inspector")
    monkeypatch.undo()
    facts = {row["title"].partition(". ")[0]: row["facts"] for row in papers[0]["rows"]}
    said = facts.pop(str(first["position"]))
    assert f"Visited {today}: outcome told; not before {until}." in said
    assert "May be visited" not in said
    assert "Before that" in said or "No earlier compliance inspection" in said
    assert not any("outcome told" in other for other in facts.values())
    after = service.get(f"{at}.pdf", "inspector")
    assert after.headers["etag"] != before[".pdf"].headers["etag"]
    assert after.content != before[".pdf"].content
