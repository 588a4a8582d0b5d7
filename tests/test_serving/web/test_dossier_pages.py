"""A dealer's pages and papers: what was told, what stands out, what is old."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import numpy as np
import pytest

from serving import clock
from serving.access.accounts import Principal
from serving.access.audit.writer import Access, Ledger
from serving.contract.answers import RankRequest
from serving.dealers.dossier import dossier
from serving.dealers.field_packet import _facts as packet_facts
from serving.field.events import events
from serving.field.events.rescoring import collect_events
from serving.field.outcomes import outcomes
from serving.lists.files import list_files
from serving.scores.visible_dealers import View
from serving.store.tables import OUTCOMES
from serving.web.dealers.timeline import timeline
from serving.web.lists.list_rows import Ask
from serving.web.rendering import dealer_name
from tests.test_serving.conftest import AS_OF
from tests.test_serving.pages import Visitor
from tests.test_serving.web.forms.outcome_form import outcome


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
    assert page.count("expected, between") == 1  # firearms; the chance beside it is none
    assert "It is not among the office’s first 3 by priority" in page
    assert said not in page
    by_hand = {"k": 5, "manual": [{"dealer": last, "reason": "a tip", "legal_basis": None}]}
    assert service.post("/v1/rank", "inspector", by_hand).status_code == 200
    assert said in inspector.get(f"/dealers/{last}").text
    monkeypatch.setattr("serving.dealers.explaining._can_change", lambda *_: False)
    page = inspector.get(f"/dealers/{first}").text
    assert "What would take it below" not in page
    assert "It would fall below them" not in page
    monkeypatch.setattr("serving.web.dealers.pages._K", 4_000)
    assert "No more than 4,000 dealers of the office" in inspector.get(f"/dealers/{first}").text


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


def test_a_dossier_says_why_its_rank_is_not_its_place_on_the_list(service, inspector):
    listed = service.post("/v1/rank", "inspector", {"k": 30}).json()
    view = View(service.runtime.snapshot)
    columns, office = view.snapshot.columns, listed["rows"][0]["office"]
    row = next(r for r in reversed(listed["rows"]) if r["why"] == ["model"])
    at = next(i for i, key in enumerate(columns["dealer"]) if key == row["dealer"])
    ahead = [
        i
        for i in np.flatnonzero((columns["office"] == office) & view.is_visible)
        if columns["priority"][i] > columns["priority"][at]
        and columns["eligible_on"][i] > np.datetime64(view.snapshot.as_of)
    ]
    assert ahead
    page = unescape(inspector.get(f"/dealers/{row['dealer']}?list={listed['list_id']}").text)
    assert f"{len(ahead)} of those above could not be visited on the day that the scores" in page
    assert f"<dt>On the list</dt><dd>{row['position']}<small>place of 30, highest priority" in page
    alone = inspector.get(f"/dealers/{row['dealer']}").text
    assert "<dt>On the list</dt>" not in alone


def test_why_not_on_the_list_names_rank_cut_and_law(service, inspector, monkeypatch):
    columns = service.runtime.snapshot.columns
    own = columns["office"] == "office0"
    late = own & (columns["eligible_on"] > np.datetime64("2026-01-01"))
    dealer, other = str(columns["dealer"][late][0]), str(columns["dealer"][own][0])
    until = columns["eligible_on"][late][0].astype("datetime64[D]").item()
    monkeypatch.setattr("serving.web.lists.why_not.clock.today", lambda: until)
    text = inspector.get(f"/dealers/{dealer}/place?k=5&against={other}").text
    assert f"may be visited since {until}" in text
    assert "may not be visited before" not in text
    monkeypatch.setattr("serving.web.lists.why_not.clock.today", lambda: until - timedelta(days=1))
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
    assert "No other dealer within your area matches" in nobody.text


def test_of_dealers_alike_no_more_are_among_the_first_than_there_are_places(service, inspector):
    runtime = service.runtime
    snapshot, never = runtime.snapshot, np.full(4, np.datetime64("NaT", "s"))
    office = np.flatnonzero(snapshot.columns["office"] == "office0")
    rows = office[np.argsort(-snapshot.columns["priority"][office])[:4]]
    alike = rows[[0, 0, 0, 0]]
    changed = snapshot.with_inputs(rows, snapshot.inputs[alike], snapshot.missing[alike])
    priority = snapshot.columns["priority"][alike]
    runtime.replace(changed.changed(rows, priority=priority, eligible_on=never))
    first = snapshot.columns["dealer"][sorted(rows, key=snapshot.places.turns.item)]
    for n, dealer in enumerate(first):
        text = re.sub(r"\s+", " ", unescape(inspector.get(f"/dealers/{dealer}/place?k=2").text))
        assert ("It is among the office's first 2" in text) == (n < 2)
        assert "have a higher priority" not in text
        before = f"{n or 'none'} of them {'comes' if n <= 1 else 'come'} before it"
        assert (
            f"3 others have the same; a lot that stays the same orders them, and {before}" in text
        )


def test_a_dealer_is_put_on_a_list_by_hand_with_its_reason(inspector, service, free):
    form = {"manual_reason": "tip of a neighbor's", "k": "5"}
    at = f"/dealers/{free}/place"
    answer = inspector.post(f"/dealers/{free}/list", form, at=at)
    assert answer.status_code == 303
    text = unescape(inspector.get(answer.headers["location"]).text)
    assert "tip of a neighbor's" in text
    # What the page says of it beforehand, and only to those who can.
    asked = unescape(inspector.get(at).text)
    assert "This issues another list, of your own; lists issued before stay as they are." in asked
    assert "other inspectors cannot" in asked
    assert "Put it on a list by hand" not in Visitor(service, "analyst").get(at).text


def test_what_is_wrong_with_a_list_by_hand_stands_at_its_field(inspector, service, free):
    columns = service.runtime.snapshot.columns
    shut = columns["eligible_on"] > np.datetime64(service.runtime.snapshot.as_of)
    visited = str(columns["dealer"][(columns["office"] == "office0") & shut][0])
    row = np.flatnonzero(columns["dealer"] == visited)
    later = np.array(["2199-01-01"], dtype="datetime64[s]")  # not yet, whenever this is run
    service.runtime.replace(service.runtime.snapshot.changed(row, eligible_on=later))
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


def test_a_table_for_a_later_day_makes_no_records_younger(service, inspector, monkeypatch):
    """What the pages say is what the API says: how far the records reach, not what was asked."""
    monkeypatch.setattr("serving.clock.today", lambda: AS_OF)
    snapshot = service.runtime.snapshot
    manifest = {**snapshot.table.manifest, "records_to": "2024-05-01"}
    service.runtime.replace(replace(snapshot, table=replace(snapshot.table, manifest=manifest)))
    for path in ("/lists", "/dealers"):
        text = inspector.get(path).text
        assert "On records known before 2026-01-01." in text
        assert "They reach to 2024-05-01 and are 610 days old" in text, path
        assert "<dd>2024-05-01</dd>" in text
    chief = Visitor(service, "chief")
    asked = []
    monkeypatch.setattr(
        "serving.web.oversight.insight.measures_for", lambda *given: asked.append(given[-1])
    )
    chief.get("/measures")  # nothing is measured here
    assert asked == [2023]
    assert re.search(r"released on ([0-9-]{10})", chief.get("/shares").text)[1] <= "2024-05-01"
    manifest = {**manifest, "records_to": "2025-12-20"}
    service.runtime.replace(replace(snapshot, table=replace(snapshot.table, manifest=manifest)))
    assert "days old" not in inspector.get("/dealers").text


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
    after = f"; not before {until}" if until > clock.today().isoformat() else ""
    assert f"Visited {today}: outcome told{after}." in row
    assert "eligible</span>" not in row
    assert f'id="d-{dealer}"' not in inspector.get(f"{path}?decided=open").text
    assert f'id="d-{dealer}"' in inspector.get(f"{path}?decided=visited").text
    summary = service.get("/v1/lists", "inspector").json()["lists"][0]
    assert (summary["list_id"], summary["n_decided"]) == (listed["list_id"], 1)
    assert "recall, from" in inspector.get("/work").text
    assert service.get(at, "inspector").content == before[""].content
    # In a table what came since stands behind what was issued.
    tables = [
        list(csv.reader(io.StringIO(answer.text)))
        for answer in (before[".csv"], service.get(f"{at}.csv", "inspector"))
    ]
    n = tables[0][0].index("bundle") + 1
    old, new = ([line[:n] for line in table] for table in tables)
    assert old == new
    assert tables[0] != tables[1]
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
    assert "Before that" in said or "No earlier compliance or recall inspection" in said
    assert not any("outcome told" in other for other in facts.values())
    after = service.get(f"{at}.pdf", "inspector")
    assert after.headers["etag"] != before[".pdf"].headers["etag"]
    assert after.content != before[".pdf"].content


def test_what_was_told_last_of_an_inspection_stands_once_in_dossier_and_packet(service, free):
    runtime = service.runtime
    warehouse, row = runtime.settings.home / "warehouse", runtime.snapshot.row_of[free]
    ledger = Ledger(runtime.audit_key, Access("operator:x", "operator", "", ""))

    def tell(name, found, **more):
        said = {
            "inspection_id": name, "dealer": free, "kind": "compliance", "opened_on": "2025-11-03",
            "closed_on": "2025-11-07", "outcome": found, "selected_by": "risk",
        } | more  # fmt: skip
        assert service.post("/v1/outcomes", "inspector", said).status_code == 200

    def seen():
        scope = runtime.scope(Principal("chief", "supervisor", frozenset({"nation"})))
        document = dossier(scope, row, warehouse, lists=[], store=runtime.store)
        lines = packet_facts(document)[1]["lines"]
        found = [e for e in document["timeline"] if e["table"] in {"inspections", "outcomes"}]
        assert len(lines) == len(found)
        return {(e["record_id"], e["table"], e["what"].split(";")[0]) for e in found}

    def said(found, table="outcomes", name="1001"):
        return (name, table, f"compliance inspection, outcome {found}")

    tell("1001", "report")
    tell("1001", "warning_letter")
    assert seen() == {said("warning letter")}
    with runtime.store.write() as connection:  # told before the day of the scores
        connection.execute(OUTCOMES.update().values(at="2025-12-01T00:00:00.000000Z"))
    outcomes.collect(runtime.store, warehouse, today=clock.today())
    assert seen() == {said("warning letter", "inspections")}
    tell("1001", "revocation")
    tell("T1", "none", legal_basis="warrant")  # a second number of that day is a second visit
    trace = {
        "trace_id": "T1", "requested_on": "2025-12-02", "recovered_on": "2025-12-01",
        "recovery_country": "US", "requester": "police", "dealer": free, "sold_on": "2020-01-01",
        "firearm_type": "rifle", "serial_status": "legible", "outcome": "purchaser",
        "known_on": "2025-12-05",
    }  # fmt: skip
    events.keep(runtime.store, "traces", [trace], ledger=ledger)
    collect_events(runtime.store, warehouse)
    assert seen() == {said("revocation or denied renewal"), said("no violation", name="T1")}


def test_a_comparison_gives_its_verdict_and_parts_that_add_up(service, inspector):
    columns = service.runtime.snapshot.columns
    own = np.flatnonzero(columns["office"] == "office0")
    ranked = own[np.argsort(-columns["priority"][own])]
    high, low = (str(columns["dealer"][row]) for row in (ranked[0], ranked[-1]))
    text = unescape(inspector.get(f"/dealers/{low}/place?against={high}").text)
    assert f'action="/dealers/{low}/place#compared"' in text
    both = text.split('id="compared"')[1].split("</section>")[0]
    name = dealer_name({n: columns[n][ranked[0]] for n in ("business_name", "licensee_name")})
    gap = round(columns["priority"][ranked[0]], 2) - round(columns["priority"][ranked[-1]], 2)
    assert f"<b><bdi>{name}</bdi> has the higher priority</b>, by {gap:.2f} against" in both
    table = dict(re.findall(r'<tr[^>]*><th scope="row">([^<]+)</th><td class="num">([^<]+)<', both))
    figures = {name: float(v.replace("\u2212", "-")) for name, v in table.items() if "%" not in v
               and re.fullmatch(r"[+\u2212]?[\d.]+", v)}  # fmt: skip
    parts = list(figures)[list(figures).index("Start: the average dealer") : -1]
    whole = figures["Priority: start and all families"]
    assert sum(figures[name] for name in parts) == pytest.approx(whole, abs=0.005 * len(parts))
    itself = inspector.get(f"/dealers/{low}/place?against={low}").text
    assert "Side by side" not in itself
    assert "No other dealer within your area matches" in itself


def test_an_auditor_is_offered_no_list_to_issue_and_an_empty_search_says_so(service):
    auditor = Visitor(service, "auditor")
    assert "Issue a new one" not in auditor.get("/lists").text
    assert "Issue a new one" in Visitor(service, "inspector").get("/lists").text
    assert "No record of <bdi>nobody</bdi>" in auditor.get("/audit?who=nobody").text
    assert "No record" not in auditor.get("/audit").text


def test_a_new_list_starts_with_the_random_share_of_a_request_without_one(inspector):
    text = inspector.get("/lists").text.split('id="random_share"')[1].split("</select>")[0]
    default = RankRequest.model_fields["random_share"].default
    shares = re.findall(r'<option value="([\d.]+)"( selected)?', text)
    assert [float(value) for value, is_chosen in shares if is_chosen] == [default]
    assert [float(value) for value, _ in shares] == sorted(float(value) for value, _ in shares)
