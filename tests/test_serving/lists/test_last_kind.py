"""Of what kind the last inspection was, in rows, files, plans and dossiers, or that none tells."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import date
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from serving.field.outcomes.outcomes import apply_outcomes
from serving.lists.files import list_files
from serving.scores.snapshot import Snapshot
from serving.scores.table.inspection_facts import inspection_facts
from tests.test_serving.pages import Visitor

SAID = {
    "compliance": "a compliance inspection",
    "recall": "a recall",
    None: "of which kind is not known",
}


def test_the_kind_is_that_of_the_inspection_whose_day_and_outcome_are_told():
    rows = [
        ("a", "compliance", "2024-01-02", "2024-01-05", "none"),
        ("a", "recall", "2025-01-02", "2025-01-05", "report"),
        ("a", "application", "2025-06-01", "2025-06-02", "none"),
        ("b", "trace", "2025-01-02", "2025-01-05", "none"),
        ("c", "compliance", "2025-03-02", None, "report"),
    ]
    frame = pd.DataFrame(rows, columns=["dealer", "kind", "opened_on", "closed_on", "outcome"])
    facts = inspection_facts(frame.sample(frac=1, random_state=3), date(2026, 1, 1))
    assert facts["last_kind"].to_dict() == {"a": "recall", "c": "compliance"}
    assert facts["last_outcome"].to_dict() == {"a": "report", "c": "report"}


def test_rows_files_plans_and_dossiers_say_the_same_kind(service, monkeypatch):
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 40}).json()
    visitor, path = Visitor(service, "supervisor"), f"/v1/lists/{listed['list_id']}"
    text = service.get(f"{path}.csv", "supervisor").content.decode("utf-8-sig")
    in_csv = {row["dealer"]: row["last_kind"] for row in csv.DictReader(io.StringIO(text))}
    page = visitor.get(f"/lists/{listed['list_id']}?all=true").text
    columns = service.runtime.snapshot.columns
    kinds = set()
    for row in listed["rows"]:
        at = service.runtime.snapshot.row_of[row["dealer"]]
        kind = str(columns["last_kind"][at]) or None
        assert (row["last_kind"], in_csv[row["dealer"]]) == (kind, kind or "")
        assert (kind is None) == (row["last_inspected_on"] is None)
        shown = page.split(f'id="d-{row["dealer"]}"')[1].split("</tr>")[0]
        facts = list_files._block(row)["facts"]
        if kind:
            assert f"{SAID[kind]}, " in shown
            assert f"opened {row['last_inspected_on']}: {SAID[kind]}, " in facts
        kinds.add(kind)
    assert kinds == {None, "compliance", "recall"}
    seen = next(row for row in listed["rows"] if row["last_kind"] == "recall")
    dossier = visitor.get(f"/dealers/{seen['dealer']}").text
    assert f"opened {seen['last_inspected_on']}: a recall, " in dossier
    ask = {
        "office": "office0",
        "weeks": 4,
        "hours": 40,
        "investigators": 6,
        "starts_on": "2026-01-12",
    }
    plan = re.sub(r"<[^>]+>", "", visitor.get(f"/plan?{urlencode(ask)}").text)
    assert re.search(r"opened on \d{4}-\d\d-\d\d: a (compliance inspection|recall), ", plan)


def test_a_told_visit_changes_the_kind_with_the_day(service):
    snapshot = service.runtime.snapshot
    rows = np.flatnonzero(
        (snapshot.columns["office"] == "office0") & (snapshot.columns["last_kind"] == "recall")
    )
    dealer = str(snapshot.columns["dealer"][rows[0]])
    body = {"inspection_id": "I-1", "dealer": dealer, "kind": "compliance", "outcome": "none",
            "opened_on": "2026-01-20", "legal_basis": None}  # fmt: skip
    answer = service.post("/v1/outcomes", "inspector", body)
    if answer.status_code == 409:  # within the twelve months: with what justifies it
        body |= {"legal_basis": "warrant"}
        answer = service.post("/v1/outcomes", "inspector", body)
    assert answer.status_code == 200, answer.text
    at = service.runtime.snapshot.row_of[dealer]
    columns = service.runtime.snapshot.columns
    assert columns["last_kind"][at] == "compliance"
    assert str(columns["last_inspected_on"][at])[:10] == "2026-01-20"
    assert (
        "opened 2026-01-20: compliance inspection"
        in Visitor(service, "inspector").get(f"/dealers/{dealer}").text
    )


def test_a_table_scored_before_kinds_were_in_it_says_that_they_are_not_known(service):
    runtime = service.runtime
    old = runtime.snapshot.table
    table = replace(old, scored=old.scored.drop(columns="last_kind"))
    snapshot = replace(runtime.snapshot, table=table, columns={**runtime.snapshot.columns})
    del snapshot.columns["last_kind"]
    again = _again(snapshot)
    assert set(again.columns["last_kind"]) == {""}
    assert apply_outcomes(again, []) is again
    runtime.replace(again)
    listed = service.post("/v1/rank", "inspector", {"k": 20}).json()
    seen = next(row for row in listed["rows"] if row["last_inspected_on"])
    assert seen["last_kind"] is None
    text = service.get(f"/v1/lists/{listed['list_id']}.csv", "inspector").content.decode(
        "utf-8-sig"
    )
    told = {row["dealer"]: row["last_kind"] for row in csv.DictReader(io.StringIO(text))}
    assert {told[row["dealer"]] for row in listed["rows"] if row["last_inspected_on"]} == {
        "unknown"
    }
    page = Visitor(service, "inspector").get(f"/dealers/{seen['dealer']}").text
    assert f"opened {seen['last_inspected_on']}: of which kind is not known" in page
    body = {"inspection_id": "I-1", "dealer": seen["dealer"], "kind": "compliance",
            "outcome": "none", "opened_on": "2026-01-20", "legal_basis": "warrant"}  # fmt: skip
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200


def _again(snapshot: Snapshot) -> Snapshot:
    """The snapshot as it would be made of its table."""
    features = type("Features", (), {})()
    signals = [signal["name"] for signal in snapshot.bundle.signals]
    features.X = pd.DataFrame(snapshot.inputs, columns=signals)
    features.reasons = pd.DataFrame(snapshot.missing, columns=signals)
    return Snapshot.of(snapshot.table, snapshot.bundle, features)
