"""What was written can be read back: within the area, page by page, held dealers never."""

import csv
import io
import json
from datetime import date

import pyarrow as pa
import pytest

from serving.contract.field.kept_records import KeptOutcome
from serving.scores import export, holds


def listed_by(service, who="chief", k=6):
    answer = service.post("/v1/rank", who, {"k": k, "random_share": 0, "with_recalls": False})
    assert answer.status_code == 200, answer.text
    return answer.json()


def decide(service, who, listed, n=0, decision="accept"):
    body = {"list_id": listed["list_id"], "dealer": listed["rows"][n]["dealer"],
            "decision": decision, "note": "seen"}  # fmt: skip
    answer = service.post("/v1/decisions", who, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def tell(service, who, dealer, number, **more):
    body = {"inspection_id": number, "dealer": dealer, "opened_on": "2026-02-01",
            "outcome": "none", "legal_basis": "warrant"} | more  # fmt: skip
    answer = service.post("/v1/outcomes", who, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def all_pages(service, who, path, name, limit=2):
    out, cursor, sep = [], None, "&" if "?" in path else "?"
    while True:
        more = "" if cursor is None else f"&cursor={cursor}"
        page = service.get(f"{path}{sep}limit={limit}{more}", who).json()
        assert len(page[name]) == limit or page["next_cursor"] is None  # no page has gaps
        out += page[name]
        cursor = page["next_cursor"]
        if cursor is None:
            return out


def hold(service, dealer, *owners):
    holds.place(service.runtime.store, dealer, owners=list(owners), starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()


def test_decisions_are_read_back_in_order_within_the_area(service):
    listed = listed_by(service)
    kept = [decide(service, "chief", listed, n) for n in range(5)]
    found = all_pages(service, "scheduler", "/v1/decisions", "decisions")
    assert [one["decision_id"] for one in found] == [one["decision_id"] for one in kept]
    assert found[0]["note"] == "seen"
    divisions = {row["dealer"]: row["division"] for row in listed["rows"]}
    own = service.get("/v1/decisions", "supervisor").json()["decisions"]
    mine = [one["dealer"] for one in kept if divisions[one["dealer"]] == "division0"]
    assert [one["dealer"] for one in own] == mine
    # An inspector reads their own alone; nobody else reads any.
    assert service.get("/v1/decisions", "inspector").json()["decisions"] == []
    for who in ("analyst", "partner", "auditor", "admin", "agent"):
        assert service.get("/v1/decisions", who).status_code == 403
    of_one = service.get(f"/v1/decisions?dealer={kept[2]['dealer']}", "chief").json()["decisions"]
    assert [one["decision_id"] for one in of_one] == [kept[2]["decision_id"]]
    other = "L-20200101-000000000000"
    assert service.get(f"/v1/decisions?list_id={other}", "chief").json()["decisions"] == []


def test_one_decision_is_read_by_its_number_and_not_sent_twice(service):
    kept = decide(service, "chief", listed_by(service))
    path = f"/v1/decisions/{kept['decision_id']}"
    first = service.get(path, "scheduler")
    assert first.json()["dealer"] == kept["dealer"]
    again = service.get(path, "scheduler", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    elsewhere = service.get(path, "inspector_west")
    absent = service.get("/v1/decisions/999", "inspector_west")
    assert elsewhere.status_code == 404
    assert elsewhere.content == absent.content


def test_outcomes_are_read_back_with_every_version(service):
    dealers = [str(d) for d in service.runtime.snapshot.columns["dealer"][:3]]
    for n, dealer in enumerate(dealers):
        tell(service, "chief", dealer, f"I{n}")
    tell(service, "chief", dealers[0], "I0", outcome="report",
         violations=[{"citation": "478.124(c)(1)"}])  # fmt: skip
    found = all_pages(service, "scheduler", "/v1/outcomes", "outcomes")
    told = [(one["inspection_id"], one["version"]) for one in found]
    assert told == [("I0", 1), ("I1", 1), ("I2", 1), ("I0", 2)]
    newest = service.get("/v1/outcomes/I0", "scheduler")
    assert newest.json()["outcome"] == "report"
    # In one order, whatever the process: a tag of the same outcome is the same in every worker.
    assert list(newest.json()) == list(KeptOutcome.model_fields)
    assert newest.json()["violations"][0]["citation"] == "478.124(c)(1)"
    first = service.get("/v1/outcomes/I0?version=1", "scheduler").json()
    assert (first["version"], first["outcome"]) == (1, "none")
    of_one = service.get(f"/v1/outcomes?dealer={dealers[1]}", "scheduler").json()["outcomes"]
    assert [one["inspection_id"] for one in of_one] == ["I1"]
    assert service.get("/v1/outcomes/I9", "scheduler").status_code == 404
    assert service.get("/v1/outcomes", "analyst").status_code == 403


def test_a_held_dealer_is_in_nothing_that_is_read_back(service):
    """Nor do the pages have a gap where it was."""
    listed = listed_by(service)
    dealer = listed["rows"][1]["dealer"]
    for n in range(4):
        decide(service, "chief", listed, n)
        tell(service, "chief", listed["rows"][n]["dealer"], f"I{n}")
    hold(service, dealer, "chief")
    number = next(
        one["decision_id"]
        for one in service.get("/v1/decisions", "chief").json()["decisions"]
        if one["dealer"] == dealer
    )
    for path, name in (("/v1/decisions", "decisions"), ("/v1/outcomes", "outcomes")):
        assert len(all_pages(service, "chief", path, name)) == 4
        assert len(all_pages(service, "scheduler", path, name)) == 3
        assert service.get(f"{path}?dealer={dealer}", "scheduler").json()[name] == []
    for path in (f"/v1/decisions/{number}", "/v1/outcomes/I1"):
        assert service.get(path, "chief").status_code == 200
        assert service.get(path, "scheduler").status_code == 404
    exported = service.get("/v1/scores/export", "scheduler").text
    assert dealer not in exported
    assert dealer in service.get("/v1/scores/export", "chief").text


@pytest.mark.parametrize("cursor", ["x", "L-20260101-aaaaaaaaaaaa", "1' OR 1=1", "~", "%00"])
def test_a_forged_cursor_of_lists_is_refused(service, cursor):
    for path in ("/v1/lists", "/v1/plans"):
        assert service.get(path, "chief", params={"cursor": cursor}).status_code == 422


def test_lists_are_paged_without_gaps_and_a_cursor_opens_nothing(service):
    made = [listed_by(service, who, 2)["list_id"] for who in ("chief", "scheduler") * 3]
    seen = all_pages(service, "chief", "/v1/lists", "lists")
    assert {one["list_id"] for one in seen} == set(made)
    own = all_pages(service, "scheduler", "/v1/lists", "lists", limit=1)
    assert [one["list_id"] for one in own] == made[5::-2]
    # Another's place in the order is a place in the order, and no more.
    newest = seen[0]
    cursor = f"{newest['issued_at']}~{newest['list_id']}"
    found = service.get("/v1/lists", "scheduler", params={"cursor": cursor}).json()["lists"]
    assert {one["owner"] for one in found} == {"scheduler"}


def test_files_and_plans_carry_tags_too(service):
    listed = listed_by(service)
    path = f"/v1/lists/{listed['list_id']}"
    tags = {kind: service.get(f"{path}.{kind}", "chief").headers["etag"] for kind in ("csv", "pdf")}
    assert tags["csv"] != tags["pdf"]
    again = service.get(f"{path}.csv", "chief", headers={"If-None-Match": f'W/{tags["csv"]}, "x"'})
    assert again.status_code == 304
    # One whom a hold hides a row from has another tag: the old one does not say "as it was".
    hold(service, listed["rows"][0]["dealer"], "somebody")
    now = service.get(f"{path}.csv", "chief", headers={"If-None-Match": tags["csv"]})
    assert now.status_code == 200
    # Who may not read it is refused, whatever they know.
    for known in (tags["csv"], "*"):
        refused = service.get(f"{path}.csv", "inspector", headers={"If-None-Match": known})
        assert refused.status_code == 404


def test_the_export_has_every_dealer_of_the_area_as_the_score_route_gives_it(service):
    rows = list(csv.DictReader(io.StringIO(service.get("/v1/scores/export", "chief").text)))
    assert [int(row["national_rank"]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == len(service.runtime.snapshot.columns["dealer"])
    some = rows[::37]
    asked = service.post("/v1/score", "chief", {"dealers": [r["dealer"] for r in some]}).json()
    for row, score in zip(some, asked["scores"], strict=True):
        for name in ("priority", "percentile", "national_rank", "office_rank", "support"):
            assert float(row[name]) == score[name]
        assert float(row["diversion_upper"]) == score["heads"]["diversion"]["upper"]
        assert (row["eligible_on"] or None, row["as_of"]) == (score["eligible_on"], score["as_of"])
        assert row["is_eligible"] == str(score["is_eligible"]).lower()
    own = csv.DictReader(io.StringIO(service.get("/v1/scores/export", "supervisor").text))
    assert {row["division"] for row in own} == {"division0"}
    assert service.get("/v1/scores/export", "inspector").status_code == 403


def test_the_export_is_the_same_in_arrow_and_says_what_must_be_said(service, monkeypatch):
    monkeypatch.setattr(export, "AT_ONCE", 64)  # several parts
    text = service.get("/v1/scores/export", "analyst").text
    answer = service.get("/v1/scores/export?format=arrow", "analyst")
    table = pa.ipc.open_stream(answer.content).read_all()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert table.column_names == list(rows[0])
    assert [str(v) for v in table["priority"].to_pylist()] == [row["priority"] for row in rows]
    assert [v.isoformat() if v else "" for v in table["eligible_on"].to_pylist()] == [
        row["eligible_on"] for row in rows
    ]
    said = json.loads(table.schema.metadata[b"ffl_risk"])
    assert said["disclaimers"] == service.runtime.snapshot.disclaimers
    beside = service.get("/v1/scores/export?format=csvm", "analyst").json()
    assert said["disclaimers"] == beside["notes"][1:]
    assert [one["name"] for one in beside["tableSchema"]["columns"]] == table.column_names


def test_an_export_holds_a_part_in_memory_and_is_on_record(service, audit_of, monkeypatch):
    monkeypatch.setattr(export, "AT_ONCE", 64)
    scope = service.runtime.scope(service.runtime.directory.principal_of_token(
        service.tokens["chief"]))  # fmt: skip
    sizes = [len(part) for part in export.to_csv(scope)]
    assert len(sizes) == -(-400 // 64)
    assert max(sizes) < 2 * sum(sizes) / len(sizes)
    assert service.get("/v1/scores/export", "supervisor").status_code == 200
    last = audit_of(service)[-1]
    assert (last["who"], last["action"], last["purpose"]) == ("supervisor", "export", "licensing")
    assert "division0" in last["subject"]
    assert service.get("/v1/scores/export", "chief", purpose=None).status_code == 403
    assert service.get("/v1/scores/export", "chief", purpose="statistics").status_code == 403


def test_an_export_of_nobody_has_its_columns(service):
    service.runtime.directory.add_account("empty", "supervisor", areas=["office:none"])
    service.tokens["empty"] = service.runtime.directory.issue_token("empty")
    assert len(service.get("/v1/scores/export", "empty").text.splitlines()) == 1
    content = service.get("/v1/scores/export?format=arrow", "empty").content
    assert pa.ipc.open_stream(content).read_all().num_rows == 0
