"""Spreadsheet and CSV of a list carry what came of it since, as page and PDF do."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime

import openpyxl
import pytest

from serving.lists.files import list_files
from serving.scores import holds
from tests.test_serving.pages import Visitor

OLD_LAST = "reasons"


def rows_of(service, path, who):
    text = service.get(path, who).content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


@pytest.fixture
def followed(service):
    """A list of the supervisor of which rows were overridden, accepted, handed over, visited."""
    ask = {"area": {"office": "office0"}, "k": 8, "random_share": 0}
    listed = service.post("/v1/rank", "supervisor", ask).json()
    supervisor, at = Visitor(service, "supervisor"), f"/lists/{listed['list_id']}"
    overridden, handed, visited, elsewhere = (row["dealer"] for row in listed["rows"][:4])
    form = {"dealer": overridden, "decision": "override", "reason": "recently_visited",
            "note": "=seen in May"}  # fmt: skip
    assert supervisor.post(f"{at}/decisions", form, at=at).status_code == 303
    form = {"dealer": handed, "to": "inspector"}
    assert supervisor.post(f"{at}/assign", form, at=at).status_code == 303
    body = {"inspection_id": "I-1", "dealer": visited, "kind": "compliance", "outcome": "none",
            "opened_on": "2026-01-20", "closed_on": "2026-01-22"}  # fmt: skip
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    other = service.post("/v1/rank", "inspector", ask | {"k": 9}).json()
    body = {"list_id": other["list_id"], "dealer": elsewhere, "decision": "accept"}
    assert service.post("/v1/decisions", "inspector", body).status_code == 200
    return listed, (overridden, handed, visited, elsewhere)


def test_columns_of_what_came_since_stand_behind_those_of_the_list(service, followed):
    listed, (overridden, handed, visited, elsewhere) = followed
    path = f"/v1/lists/{listed['list_id']}"
    names, *rows = rows_of(service, f"{path}.csv", "supervisor")
    issued = list_files.table(listed)[0]
    assert names[: len(issued)] == issued
    assert issued.index(OLD_LAST) == 24  # as it was: programs read by place
    assert issued[-2:] == ["as_of", "bundle"]
    by = {row[1]: dict(zip(names, row, strict=True)) for row in rows}
    assert {(one["bundle"], one["as_of"]) for one in by.values()} == {
        (listed["basis"]["bundle"], listed["basis"]["as_of"])
    }
    one = by[overridden]
    assert (one["decision"], one["decision_reason"], one["decided_by"], one["decided_on_list"]) == (
        "override", "recently_visited", "supervisor", "this list"
    )  # fmt: skip
    assert one["decision_note"] == "'=seen in May"
    assert datetime.fromisoformat(one["decided_at"]).tzinfo
    assert (by[handed]["handed_to"], by[handed]["decision"]) == ("inspector", "")
    one = by[visited]
    assert [one[n] for n in names if n.startswith("visit_")] == [
        "2026-01-20", "2026-01-22", "compliance", "none"
    ]  # fmt: skip
    page = Visitor(service, "supervisor").get(f"/lists/{listed['list_id']}").text
    if one["not_before"]:
        assert f"not before {one['not_before']}" in page
    assert (by[elsewhere]["decision"], by[elsewhere]["decided_on_list"]) == (
        "accept",
        "another list",
    )
    assert by[elsewhere]["decided_by"] == "inspector"
    untouched = by[listed["rows"][5]["dealer"]]
    assert {untouched[name] for name in names[len(issued) :]} == {""}
    told = json.loads(service.get(f"{path}.csvm", "supervisor").content)["tableSchema"]["columns"]
    assert [column["name"] for column in told] == names
    kinds = {column["name"]: column["datatype"] for column in told}
    assert (kinds["decided_at"], kinds["visit_opened_on"]) == ("datetime", "date")


def test_a_spreadsheet_says_it_in_words_and_real_days(service, followed):
    listed, (overridden, _, visited, _) = followed
    content = service.get(f"/v1/lists/{listed['list_id']}.xlsx", "supervisor").content
    names, *rows = openpyxl.load_workbook(io.BytesIO(content))["List"].iter_rows(values_only=True)
    by = {row[1]: dict(zip(names, row, strict=True)) for row in rows}
    one = by[overridden]
    assert (one["Decision"], one["Why overridden"]) == ("overridden", "recently visited")
    assert isinstance(one["Decided on"], datetime)
    assert by[visited]["Last day of that visit"].date() == date(2026, 1, 22)


def test_a_file_known_before_a_decision_is_not_taken_for_the_one_after_it(service, followed):
    listed, (_, handed, _, _) = followed
    path = f"/v1/lists/{listed['list_id']}"
    before = {
        kind: service.get(f"{path}.{kind}", "supervisor").headers["etag"]
        for kind in ("csv", "xlsx")
    }
    body = {"list_id": listed["list_id"], "dealer": handed, "decision": "accept"}
    assert service.post("/v1/decisions", "supervisor", body).status_code == 200
    for kind, tag in before.items():
        assert service.get(f"{path}.{kind}", "supervisor").headers["etag"] != tag


def test_each_reader_gets_the_columns_that_the_role_may_see(service, followed):
    listed, (overridden, _, visited, _) = followed
    path = f"/v1/lists/{listed['list_id']}.csv"
    audited = rows_of(service, path, "auditor")[0]
    assert not [n for n in audited if n.startswith(("visit_", "deci", "handed"))]
    # Of a dealer held since there is no row, and so nothing that came of it.
    holds.place(service.runtime.store, overridden, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    rows = rows_of(service, path, "supervisor")
    assert overridden not in {row[1] for row in rows}
    assert "recently_visited" not in str(rows)
    assert visited in {row[1] for row in rows}
