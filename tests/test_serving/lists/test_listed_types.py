"""A list of some types of license only says so wherever its area is named."""

from __future__ import annotations

import io
import json

import openpyxl
import pytest

from serving.commands.printing import print_list
from serving.lists.files import list_files
from serving.lists.files.contest_packet import _public_list
from serving.lists.files.list_files import header
from tests.test_serving.pages import Visitor

SAID = "license type 02 only"


@pytest.fixture
def listed(service):
    """A list of pawnbrokers alone, of fewer dealers than were asked for."""
    ask = {"area": {"office": "office0"}, "k": 400, "random_share": 0, "license_types": ["02"]}
    return service.post("/v1/rank", "supervisor", ask).json()


def test_page_index_files_and_terminal_say_the_types(service, listed, capsys, monkeypatch):
    assert {row["license_type"] for row in listed["rows"]} == {"02"}
    assert (listed["license_types"], listed["area_in_words"]) == (["02"], f"office office0, {SAID}")
    at = f"/lists/{listed['list_id']}"
    visitor = Visitor(service, "supervisor")
    page = visitor.get(at).text
    assert SAID in page
    assert "of the area with license type 02" in page
    assert SAID in visitor.get("/lists").text
    notes = json.loads(list_files.csv_metadata(listed))["notes"]
    assert SAID in notes[0]
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"/v1{at}.xlsx", "supervisor").content))
    cells = [str(c.value) for sheet in book for row in sheet for c in row if c.value]
    assert any(SAID in cell for cell in cells)
    monkeypatch.setattr(list_files, "pdf", lambda _, content, **__: content)
    assert SAID in list_files.to_pdf(listed)["lines"][1]
    print_list(listed, as_json=False, as_csv=False)
    assert SAID in capsys.readouterr().out
    assert _public_list(listed)["license_types"] == ["02"]


def test_a_list_of_all_types_says_nothing_of_types(service):
    document = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}}).json()
    assert document["license_types"] == []
    assert "license type" not in document["area_in_words"]


def test_files_say_why_a_list_has_fewer_dealers_as_the_page_does(listed):
    area = header(listed)[1]
    n = len(listed["rows"])
    assert 0 < n < 400
    assert f"400 asked for, {n} given: of " in area
    assert "asked for" not in header({**listed, "design": {**listed["design"], "k": n}})[1]
    none = {**listed, "rows": [], "design": {**listed["design"], "n_in_area": 0}}
    assert "400 asked for, none given" in header(none)[1]


def test_files_say_whom_the_law_kept_off_as_the_page_does(service):
    ask = {"area": {"office": "office0"}, "k": 10, "random_share": 0}
    document = service.post("/v1/rank", "supervisor", ask).json()
    design = document["design"]
    n = design["n_in_area"] - design["n_eligible"]
    said = f"{n} dealers were passed over by the twelve-month rule as of 2026-01-01"
    assert n > 1
    assert said in header(document)[1]
    page = Visitor(service, "supervisor").get(f"/lists/{document['list_id']}").text
    assert f"<b>{n} passed over by the twelve-month rule</b>" in page
    # One put on by hand within its twelve months was not passed over.
    rows = [{**document["rows"][0], "is_eligible": False}, *document["rows"][1:]]
    assert f"{n - 1} dealers were passed over" in header({**document, "rows": rows})[1]
    few = {**design, "n_eligible": design["n_in_area"] - 1}
    assert "1 dealer was passed over" in header({**document, "design": few})[1]
    none = {**design, "n_eligible": design["n_in_area"]}
    assert "passed over" not in header({**document, "design": none})[1]


def test_papers_and_terminal_call_an_area_as_the_page_does(listed, capsys):
    named = {**listed, "area_in_words": "office 785110, county 04013"}
    said = "Phoenix: Maricopa County, AZ (office 785110), Maricopa County, AZ"
    assert header(named)[1].startswith(f"Area: {said}.")
    print_list(named, as_json=False, as_csv=False)
    assert said in " ".join(capsys.readouterr().out.split())
