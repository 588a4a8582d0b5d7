"""What a visit is expected to yield is called by its head, on a plan as on a list."""

from __future__ import annotations

import io
import re
from pathlib import Path

import openpyxl
import pytest

from serving.commands.printing import _head_in_words
from serving.contract.kept_plan import KeptPlan
from serving.lists.files.list_files import _head_field
from serving.planning.kept.files import chance, plan_ics, plan_xlsx
from serving.scores.words.wording import head_label, total_label
from serving.web import rendering
from serving.web.plans.itinerary import difference
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import keep

HEADS = {
    "compliance": True, "later_penalized": True, "severity": True, "diversion": False,
    "mexico": False,
}  # fmt: skip


@pytest.fixture
def plan(service):
    plan_id = keep(Visitor(service, "supervisor"))
    return KeptPlan.model_validate(service.get(f"/v1/plans/{plan_id}", "supervisor").json())


def test_a_plan_says_its_head_in_all_its_files(plan):
    assert plan.head == "compliance"
    for head, is_chance in HEADS.items():
        value = 0.25 if is_chance else 29.4
        visits = [visit.model_copy(update={"expected_yield": value}) for visit in plan.visits]
        told = plan.model_copy(update={"head": head, "visits": visits})
        said = f"{'25%' if is_chance else '29.4'} {head_label(head)}"
        assert chance(told, visits[0]) == said
        assert said in re.sub(r"\r\n ", "", plan_ics(told)).replace("\\,", ",")
        sheet = openpyxl.load_workbook(io.BytesIO(plan_xlsx(told)))["Plan"]
        heading = _head_field(head).heading
        (column,) = [cell for cell in sheet[1] if cell.value == heading]
        assert ("%" in sheet.cell(2, column.column).number_format) == is_chance
        ends = {"value": value, "lower": value, "upper": value}
        assert head_label(head) in _head_in_words(head, ends)
        assert ("%" in _head_in_words(head, ends)) == is_chance


def test_a_plan_kept_before_heads_were_told_claims_no_chance(plan):
    old = plan.model_copy(update={"head": ""})
    assert "chance" not in chance(old, old.visits[0])
    assert "%" not in chance(old, old.visits[0])


def test_the_sum_of_a_plan_is_called_by_its_head(plan):
    old = plan.model_copy(update={"objective": plan.objective - 1.0})
    for head in ("", *HEADS, "theft_loss"):
        before, after = (p.model_copy(update={"head": head}) for p in (old, plan))
        total = total_label(head)
        assert (total == "findings") == (head in ("", "compliance"))
        assert f"changes the expected {total} by +1.00." in difference(before, after, "It")
        assert f"leaves the expected {total} as before." in difference(after, after, "It")


def test_no_page_of_a_plan_names_findings_by_itself():
    folder = Path(rendering.__file__).parent / "templates"
    for name in ("plan.html", "kept_plan.html", "_itinerary.html"):
        assert not re.search("finding", (folder / name).read_text(), re.IGNORECASE), name
