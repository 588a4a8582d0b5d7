"""The plan over HTTP: the optimizer's answer, for those who may ask, without what is held."""

from datetime import date

import pytest

from serving.access.accounts import Principal
from serving.contract.plan import PlanAnswer
from serving.planning.for_caller import first_monday
from serving.scores import holds

ASK = {"office": "office0", "weeks": 4, "n_investigators": 3}


@pytest.fixture(autouse=True)
def _on_the_day_of_the_records(monkeypatch):
    """Weeks without a first day begin today: the plans here are those of one day."""
    monkeypatch.setattr("serving.clock.today", lambda: date(2026, 1, 1))


def test_a_plan_is_answered_within_its_schema_and_twice_alike(service, monkeypatch):
    monkeypatch.setattr("serving.clock.today", lambda: date(2026, 3, 4))
    first, second = (service.post("/v1/plan", "supervisor", ASK) for _ in range(2))
    assert first.status_code == 200, first.text
    plan = PlanAnswer.model_validate_json(first.content)
    assert first.content == second.content
    assert plan.visits
    assert plan.objective <= plan.bound
    assert plan.starts_on == date(2026, 3, 9)  # records may be older: no visit is made in the past
    assert {cost.rule for cost in plan.costs} >= {"travel", "random_share", "twelve_months"}
    assert len(plan.sensitivity) == 2
    assert plan.disclaimers


def test_a_plan_on_records_of_a_day_to_come_starts_after_them(service, monkeypatch):
    scope = service.runtime.scope(Principal("x", "analyst", frozenset()))
    for today, monday in ((date(2025, 11, 3), date(2026, 1, 5)), (date(2026, 1, 5),) * 2):
        monkeypatch.setattr("serving.clock.today", lambda today=today: today)
        assert first_monday(scope) == monday


def test_no_planned_dealer_is_ineligible_or_of_another_office(service):
    plan = service.post("/v1/plan", "supervisor", ASK).json()
    columns = service.runtime.snapshot.columns
    row_of = service.runtime.snapshot.row_of
    starts = {(w["week"], w["investigator"]): w["starts_on"] for w in plan["weeks"]}
    for visit in plan["visits"]:
        row = row_of[visit["dealer"]]
        assert columns["office"][row] == "office0"
        begins = starts[visit["week"], visit["investigator"]]
        assert (
            str(columns["eligible_on"][row])[:10] <= begins
            or str(columns["eligible_on"][row]) == "NaT"
        )


def test_a_held_dealer_changes_the_plan_as_if_it_did_not_exist(service):
    plan = service.post("/v1/plan", "supervisor", ASK).json()
    dealer = plan["visits"][0]["dealer"]
    holds.place(
        service.runtime.store, dealer, owners=["other"], starts_on=date(2025, 1, 1), ends_on=None
    )
    service.runtime.refresh_holds()
    held = service.post("/v1/plan", "supervisor", ASK)
    assert dealer not in held.text
    assert held.json()["n_candidates"] == plan["n_candidates"] - 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"office": "office5"}, 403, "outside_area"),
        ({"office": "nowhere"}, 403, "outside_area"),
        ({"weeks": 900}, 422, "invalid_request"),
        ({"surprise": 1}, 422, "invalid_request"),
        ({"coverage_years": 1.0}, 409, "plan_infeasible"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_code(service, change, status, code):
    answer = service.post("/v1/plan", "supervisor", ASK | change)
    assert answer.status_code == status
    problem = answer.json()
    assert problem["code"] == code
    if code == "plan_infeasible":
        assert "coverage share" in problem["fix"]


@pytest.mark.parametrize("role", ["inspector", "analyst", "partner", "auditor", "admin"])
def test_other_roles_plan_nothing(service, role):
    assert service.post("/v1/plan", role, ASK).status_code == 403


def test_the_start_point_moves_the_plan(service):
    near = service.post("/v1/plan", "supervisor", ASK).json()
    there = ASK | {"start": {"latitude": 33.4, "longitude": -112.0}}
    far = service.post("/v1/plan", "supervisor", there).json()
    assert sum(w["km"] for w in far["weeks"]) != sum(w["km"] for w in near["weeks"])
    assert far["bound"] <= near["bound"]
