"""One dealer, one day, one truth: what each route, file and page says of it is the same."""

import csv
import io
import json
import zipfile
from datetime import date
from html import unescape

import openpyxl
import pyarrow as pa
import pytest

from features.domain.number_words import counted
from serving.lists.files.contest_packet import packet
from serving.scores import holds
from serving.statements import NOT_EVIDENCE, PEERS, TRACE_DISCLAIMER
from tests.test_serving.pages import Visitor

SHOWN = ("priority", "percentile", "national_rank", "support", "is_eligible", "eligible_on")


def rows_of(answer):
    return {row["dealer"]: row for row in csv.DictReader(io.StringIO(answer.text))}


def same_number(a, b):
    return a == pytest.approx(b, rel=1e-9, abs=1e-12)


def test_a_dealer_s_scores_are_the_same_wherever_they_are_shown(service):
    """List, its page of a cursor and its files, score, dossier, explanation, both exports."""
    listed = service.post("/v1/rank", "chief", {"k": 12, "random_share": 0.2}).json()
    path = f"/v1/lists/{listed['list_id']}"
    exported = rows_of(service.get("/v1/scores/export", "analyst"))
    arrow = pa.ipc.open_stream(service.get("/v1/scores/export?format=arrow", "analyst").content)
    arrowed = {row["dealer"]: row for row in arrow.read_all().to_pylist()}
    in_csv = rows_of(service.get(f"{path}.csv", "chief"))
    sheet = openpyxl.load_workbook(io.BytesIO(service.get(f"{path}.xlsx", "chief").content))
    in_sheet = {row[1]: row for row in sheet.worksheets[0].values}
    paged = service.get(f"{path}?cursor=0&limit=500", "chief").json()["rows"]
    assert paged == listed["rows"]
    keys = [row["dealer"] for row in listed["rows"]]
    scored = service.post("/v1/score", "analyst", {"dealers": keys, "with_reasons": True}).json()
    assert list(in_csv) == keys
    for row, score in zip(listed["rows"], scored["scores"], strict=True):
        key = row["dealer"]
        explained = service.post("/v1/explain", "chief", {"dealer": key}).json()
        dossier = service.get(f"/v1/dealers/{key}", "chief").json()
        for name in SHOWN:
            assert row[name] == score[name] == explained["score"][name] == dossier["score"][name]
            if name in in_csv[key]:
                told = in_csv[key][name]
                is_same = told == (row[name] or "") if name == "eligible_on" else (
                    same_number(float(told), row[name])
                )  # fmt: skip
                assert is_same, name
        for head, said in row["heads"].items():
            assert said == score["heads"][head] == dossier["score"]["heads"][head]
            for end, part in (("", "value"), ("_lower", "lower"), ("_upper", "upper")):
                for shown in (in_csv[key], exported[key], arrowed[key]):
                    assert same_number(float(shown[head + end]), said[part])
        for shown in (exported[key], arrowed[key]):
            assert same_number(float(shown["priority"]), row["priority"])
            assert int(shown["national_rank"]) == row["national_rank"]
            assert int(shown["office_rank"]) == score["office_rank"]
            assert str(shown["is_eligible"]).lower() == str(row["is_eligible"]).lower()
            assert str(shown["eligible_on"] or "") == (row["eligible_on"] or "")
        reasons = [one["sentence"] for one in row["reasons"]]
        # The same reasons; on a list those that tell a dealer from the others stand first.
        strongest = [one["sentence"] for one in score["reasons"]][: len(reasons)]
        assert sorted(reasons) == sorted(strongest)
        assert in_csv[key]["reasons"] == " ".join(reasons)
        assert in_csv[key]["why"].split() == row["why"]
        assert listed["list_id"] in dossier["lists"]
        assert row["office"] == score["office"] == dossier["office"] == exported[key]["office"]
        assert key in in_sheet


def test_what_a_page_says_of_a_dealer_is_what_the_list_says(service):
    listed = service.post("/v1/rank", "chief", {"k": 4, "random_share": 0}).json()
    visitor = Visitor(service, "chief")
    page = unescape(visitor.get(f"/lists/{listed['list_id']}").text)
    for row in listed["rows"]:
        dealer = unescape(visitor.get(f"/dealers/{row['dealer']}").text)
        for reason in row["reasons"][:1]:
            assert reason["sentence"] in page
            assert reason["sentence"] in dealer
        assert (row["business_name"] or row["licensee_name"]) in dealer


def test_a_plan_gives_the_day_and_the_hold_that_every_other_route_gives(service):
    ask = {"office": "office0", "weeks": 3, "n_investigators": 4, "starts_on": "2026-01-05"}
    plan = service.post("/v1/plan", "supervisor", ask).json()
    starts = {(w["week"], w["investigator"]): w["starts_on"] for w in plan["weeks"]}
    keys = sorted({visit["dealer"] for visit in plan["visits"]})
    scores = service.post("/v1/score", "supervisor", {"dealers": keys}).json()["scores"]
    by_dealer = {one["dealer"]: one for one in scores}
    assert plan["basis"] == service.post("/v1/rank", "supervisor", {"k": 1}).json()["basis"]
    for visit in plan["visits"]:
        allowed = by_dealer[visit["dealer"]]["eligible_on"]
        assert allowed is None or allowed <= starts[visit["week"], visit["investigator"]]
    held = keys[0]
    holds.place(service.runtime.store, held, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    for who, is_there in (("chief", True), ("supervisor", False)):
        score = service.post("/v1/score", who, {"dealers": [held]}).json()["scores"][0]
        assert (score["status"] == "scored") is is_there
        assert (held in rows_of(service.get("/v1/scores/export", who))) is is_there
        for call in (
            service.get(f"/v1/dealers/{held}", who),
            service.post("/v1/explain", who, {"dealer": held}),
        ):
            assert call.status_code == (200 if is_there else 404)
        area = {"area": {"office": "office0"}, "k": 500, "random_share": 0}
        listed = service.post("/v1/rank", who, area).json()["rows"]
        visits = service.post("/v1/plan", who, ask).json()["visits"]
        if not is_there:
            assert held not in {row["dealer"] for row in [*listed, *visits]}


def test_a_packet_says_what_the_list_and_the_dossier_say(service, tmp_path, monkeypatch):
    """The contest packet as made, and the field packet in what is handed to its typesetter."""
    from serving.dealers import field_packet

    listed = service.post("/v1/rank", "chief", {"k": 6, "random_share": 0}).json()
    papers = []
    monkeypatch.setattr(
        field_packet, "pdf", lambda _, content, **__: papers.append(content) or b"%PDF-"
    )
    visitor = Visitor(service, "chief")
    for row in listed["rows"]:
        key = row["dealer"]
        made = packet(
            service.runtime.store, tmp_path,
            document=listed, dealer=key, warehouse=tmp_path / "none",
        )  # fmt: skip
        with zipfile.ZipFile(io.BytesIO(made)) as files:
            entry = json.loads(files.read("restricted/entry.json"))
            public = json.loads(files.read("public/entry.json"))
            facts = json.loads(files.read("public/list.json"))
            readme = files.read("README.txt").decode()
        assert entry == row
        assert {name: row[name] for name in public if name != "reasons"} == {
            name: value for name, value in public.items() if name != "reasons"
        }
        assert all(reason in row["reasons"] for reason in public["reasons"])
        assert facts["design"].items() <= listed["design"].items()
        assert facts == {k: v for k, v in listed.items() if k in facts} | {
            "design": facts["design"]
        }
        assert listed["list_id"] in readme
        assert listed["basis"]["as_of"] in readme
        dossier = service.get(f"/v1/dealers/{key}", "chief").json()
        assert visitor.get(f"/dealers/{key}/packet.pdf").status_code == 200
        paper = papers[-1]
        assert key in paper["lines"][1]
        assert dossier["license_number"] in paper["lines"][1]
        reasons = [one["sentence"] for one in row["reasons"] if one["contribution"] > 0]
        assert sorted(paper["facts"][0]["lines"][: len(reasons)]) == sorted(reasons[:6])
        allowed = "May be visited" if row["is_eligible"] else row["eligible_on"]
        assert allowed in paper["lines"][2]
        n_traces = dossier["traces"]["n_traces"]
        assert paper["traces_title"].startswith(counted(n_traces, "trace") + ", by year")


def test_a_field_packet_says_at_how_many_inspections_a_citation_was_found(service, monkeypatch):
    from serving.dealers import field_packet

    papers = []
    monkeypatch.setattr(
        field_packet, "pdf", lambda _, content, **__: papers.append(content) or b"%PDF-"
    )
    (row,) = service.post("/v1/rank", "chief", {"k": 1, "random_share": 0}).json()["rows"]
    dossier = service.get(f"/v1/dealers/{row['dealer']}", "chief").json()
    dossier["citations"] = {"478.124(c)(1)": 1, "478.125(e)": 3}
    dossier["traces"]["n_traces"] = 1
    field_packet.field_packet(dossier, name="Shop", picture="", way="", traces=[])
    assert papers[0]["traces_title"] == "1 trace, by year and place of recovery"
    cited = next(part for part in papers[0]["facts"] if part["title"] == "Citations found")
    assert [line.rpartition(": ")[2] for line in cited["lines"]] == [
        "at one inspection",
        "at 3 inspections",
    ]
    assert all("478.12" in line for line in cited["lines"])


def test_a_field_packet_counts_every_trace_and_says_all_of_old_records_too(service, monkeypatch):
    """Ten years in eight rows and one; neither statement gives way to that of the records' age."""
    from serving.dealers import field_packet

    papers = []
    monkeypatch.setattr(
        field_packet, "pdf", lambda _, content, **__: papers.append(content) or b"%PDF-"
    )
    (row,) = service.post("/v1/rank", "chief", {"k": 1, "random_share": 0}).json()["rows"]
    dossier = service.get(f"/v1/dealers/{row['dealer']}", "chief").json()
    assert dossier["disclaimers"][0].startswith("These answers rest on records to")
    traces = [(2014 + n, place, n + 1) for n in range(10) for place in ("US-TX", "MEX")]
    field_packet.field_packet(dossier, name="Shop", picture="", way="", traces=traces)
    table = papers[0]["traces"][1:]
    assert [line[0] for line in table] == [*map(str, range(2023, 2015, -1)), "Earlier"]
    assert table[-1][1:] == ["3", "3", "6"]
    assert sum(int(line[-1]) for line in table) == sum(n for _, _, n in traces)
    for sentence in (dossier["disclaimers"][0], NOT_EVIDENCE, TRACE_DISCLAIMER, PEERS):
        assert sentence in papers[0]["statements"]
