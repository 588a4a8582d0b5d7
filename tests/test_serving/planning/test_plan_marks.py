"""What stands on a plan beside its visits: who was overridden since, and who is sent out twice."""

from __future__ import annotations

import io
import re
from datetime import date, timedelta
from html import unescape
from types import SimpleNamespace

import openpyxl
import pytest

from serving.contract.kept_plan import KeptPlan, PlanSummary
from serving.planning.kept.clashes import clashes
from serving.planning.kept.files import about, plan_ics
from serving.planning.kept.overrides import Override, marked
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.test_kept_plans import ASK, keep


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


def kept_plan(service, visitor):
    answer = service.get(f"/v1/plans/{keep(visitor)}", "supervisor")
    return KeptPlan.model_validate(answer.json())


def decide(service, dealer, decision, reason):
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 60}).json()
    assert dealer in {row["dealer"] for row in listed["rows"]}
    body = {
        "list_id": listed["list_id"], "dealer": dealer, "decision": decision, "reason": reason,
    }  # fmt: skip
    assert service.post("/v1/decisions", "supervisor", body).status_code == 200


def test_an_overridden_dealer_is_marked_wherever_the_plan_is_shown(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    dealer = service.get(at, "supervisor").json()["visits"][0]["dealer"]
    before = service.get(f"{at}.pdf", "supervisor").content
    assert "overridden" not in supervisor.get(f"/plans/{plan_id}").text
    decide(service, dealer, "override", "capacity")
    plan = service.get(at, "supervisor").json()
    said = {visit["override"] for visit in plan["visits"] if visit["dealer"] == dealer}
    (words,) = said
    assert re.fullmatch(r"overridden \d{4}-\d\d-\d\d: no capacity", words)
    assert {v["override"] for v in plan["visits"] if v["dealer"] != dealer} <= {""}
    page = supervisor.get(f"/plans/{plan_id}").text
    assert page.count(words) >= 2
    query = "&".join(f"{name}={value}" for name, value in ASK.items())
    assert supervisor.get(f"/plan?{query}").text.count(words) >= 2
    assert words in service.get(f"{at}.ics", "supervisor").text.replace("\r\n ", "")
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"{at}.xlsx", "supervisor").content))
    head = [cell.value for cell in book["Plan"][1]]
    column = head.index("Overridden")
    told = {row[head.index("Dealer key")]: row[column]
            for row in book["Plan"].iter_rows(min_row=2, values_only=True)}  # fmt: skip
    assert told[dealer] == words
    assert service.get(f"{at}.pdf", "supervisor").content != before
    assert any(words in line for line in about(KeptPlan.model_validate(plan)))
    decide(service, dealer, "accept", None)
    assert words not in supervisor.get(f"/plans/{plan_id}").text


def test_the_mark_of_an_override_is_taken_off_by_a_visit_since(service, supervisor):
    plan = kept_plan(service, supervisor)
    dealer = plan.visits[0].dealer
    found = {dealer: Override("safety", date(2026, 1, 5))}
    assert marked(plan, found).visits[0].override == "overridden 2026-01-05: safety"
    assert "overridden 2026-01-05: safety" in plan_ics(marked(plan, found)).replace("\r\n ", "")
    for day, is_marked in ((date(2026, 1, 4), True), (date(2026, 1, 5), False)):
        visits = [visit.model_copy(update={"last_inspected_on": day}) for visit in plan.visits]
        later = marked(plan.model_copy(update={"visits": visits}), found)
        assert bool(later.visits[0].override) == is_marked


def other(**changes) -> PlanSummary:
    start = SimpleNamespace(
        plan_id="P-20260101-000000000002", version=1, status="handed_over", office="office0",
        starts_on=date(2026, 1, 12), weeks=2, n_dealers=3, investigators=["maria"], owner="sue",
        who="sue", at="2026-01-01T00:00:00.000000Z",
    )  # fmt: skip
    return PlanSummary(**{**vars(start), **changes})


def test_a_clash_is_of_the_same_people_in_the_same_weeks(service, supervisor):
    plan = kept_plan(service, supervisor)
    plan = plan.model_copy(update={"investigators": ["maria", "omar"], "weeks": 3})
    (found,) = clashes(plan, [other()])
    assert found.sentence == ("maria is in another plan, handed over, of 2 weeks from 2026-01-12")
    ends = plan.starts_on + timedelta(weeks=3)
    for changes in (
        {"status": "draft"}, {"status": "withdrawn"}, {"investigators": ["gus"]},
        {"starts_on": ends}, {"starts_on": plan.starts_on - timedelta(weeks=2)},
        {"plan_id": plan.plan_id}, {"investigators": ["investigator 1"]},
    ):  # fmt: skip
        assert clashes(plan, [other(**changes)]) == []
    assert clashes(plan, [other(starts_on=ends - timedelta(days=7), office="elsewhere")])
    nameless = plan.model_copy(update={"investigators": ["investigator 1"]})
    assert clashes(nameless, [other(investigators=["investigator 1"])])
    assert not clashes(nameless, [other(investigators=["investigator 1"], office="elsewhere")])


def test_a_second_plan_for_the_same_weeks_and_people_is_warned_of(service, supervisor):
    first, second = keep(supervisor), keep(supervisor)
    for status in ("approved", "handed_over"):
        supervisor.post(f"/plans/{first}/status", {"status": status}, at=f"/plans/{first}")
    page = unescape(supervisor.get(f"/plans/{second}").text)
    said = "inspector is in another plan, handed over, of 3 weeks from 2026-01-12"
    assert f'{said}: <a href="/plans/{first}">' in page
    assert "in another plan" not in supervisor.get(f"/plans/{first}").text
    supervisor.post(f"/plans/{second}/status", {"status": "approved"}, at=f"/plans/{second}")
    assert f"/plans/{second}" in supervisor.get(f"/plans/{first}").text
