"""What a plan drew comes back as drawn, with the probability of its draw."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from features.warehouse import Warehouse
from serving import clock
from serving.field.outcomes.ordering_plan import design_of_plan
from serving.field.outcomes.outcomes import collect
from serving.store.tables import PLANS
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import keep
from training.labels.weights.sample_design import COLUMNS, probabilities, sampled


@pytest.fixture
def plan(service):
    """Return a plan that is handed over, with several dealers drawn."""
    supervisor = Visitor(service, "supervisor")
    plan_id = keep(supervisor, random_share="0.15", weeks="8")
    at = f"/plans/{plan_id}"
    for status in ("approved", "handed_over"):
        answer = supervisor.post(f"{at}/status", {"status": status}, at=at)
        assert answer.status_code == 303, answer.text
    return service.get(f"/v1{at}", "supervisor").json()


def of(plan, why):
    return list(dict.fromkeys(v["dealer"] for v in plan["visits"] if v["why"] == why))


def told(plan, dealer, **more):
    day = max(plan["basis"]["as_of"], plan["starts_on"])
    return {
        "inspection_id": f"I-{dealer}", "dealer": dealer, "opened_on": day, "closed_on": day,
        "outcome": "none", "plan_id": plan["plan_id"],
    } | more  # fmt: skip


def test_a_place_is_owed_to_a_drawn_dealer_for_which_no_week_had_room(service, plan):
    """Who fits a week is no accident: a visit left out must not make the draw look whole."""
    drawn = of(plan, "random")
    assert plan["n_drawn"] == len(drawn)
    store = service.runtime.store
    with store.write() as connection:
        for row in connection.execute(sa.select(PLANS.c.plan_id, PLANS.c.document)).all():
            document = json.loads(row.document) | {"n_drawn": len(drawn) + 3}
            change = sa.update(PLANS).where(PLANS.c.plan_id == row.plan_id)
            connection.execute(change.values(document=json.dumps(document).encode()))
    with store.read() as connection:
        opened_on = date.fromisoformat(max(plan["basis"]["as_of"], plan["starts_on"]))
        design = design_of_plan(connection, plan["plan_id"], dealer=drawn[0], opened_on=opened_on)
    assert design["mandatory_places"] == len(drawn) + 3


def test_all_that_a_plan_drew_comes_back_with_its_probability(service, plan, tmp_path):
    drawn, model = of(plan, "random"), of(plan, "model")
    assert len(drawn) > 1
    chance = next(v["inclusion_probability"] for v in plan["visits"] if v["why"] == "random")
    assert 0 < chance < 1
    for dealer in [*drawn, model[0]]:
        answer = service.post("/v1/outcomes", "chief", told(plan, dealer))
        assert answer.status_code == 200, answer.text
    kept = service.get(f"/v1/outcomes/I-{drawn[0]}", "chief").json()
    assert (kept["plan_id"], kept["list_id"]) == (plan["plan_id"], None)
    assert (kept["selected_by"], kept["why"]) == ("random", "random")
    assert kept["inclusion_probability"] == chance
    assert collect(service.runtime.store, tmp_path, today=clock.today()) == len(drawn) + 1
    rows = Warehouse.open(tmp_path).read("inspections").to_pandas()
    assert set(rows["list_id"]) == {plan["plan_id"]}
    assert set(rows["mandatory_places"]) == {len(drawn)}
    # Carried out in part, a plan speaks by its draw alone; with part of that left, by nothing.
    visits = rows[[*COLUMNS, "dealer", "selected_by"]].assign(as_of=pd.Timestamp("2026-01-01"))
    found = dict(zip(visits["dealer"], probabilities(visits), strict=True))
    assert {found[dealer] for dealer in drawn} == {chance}
    assert len(of(plan, "model") + of(plan, "coverage")) == 1 or pd.isna(found[model[0]])
    visits["probability"] = probabilities(visits)
    is_drawn = sampled(visits, (visits["selected_by"] != "").to_numpy()).is_drawn
    assert dict(zip(visits["dealer"], is_drawn, strict=True)) == {
        dealer: dealer in drawn for dealer in [*drawn, model[0]]
    }


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"plan_id": "P-20260101-000000000000"}, 404),
        ({"opened_on": "2020-01-01", "legal_basis": "warrant"}, 409),
        ({"list_id": "L-20260101-000000000000"}, 422),
    ],
)
def test_what_the_plan_cannot_have_ordered_is_refused(service, plan, change, status):
    answer = service.post("/v1/outcomes", "chief", told(plan, of(plan, "random")[0], **change))
    assert answer.status_code == status, answer.text


def test_a_plan_that_was_never_approved_orders_no_visit(service):
    plan_id = keep(Visitor(service, "supervisor"), random_share="0.15")
    draft = service.get(f"/v1/plans/{plan_id}", "supervisor").json()
    answer = service.post("/v1/outcomes", "chief", told(draft, of(draft, "random")[0]))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_plan")


def test_the_form_names_the_plan_that_was_handed_over(service, plan):
    dealer = of(plan, "random")[0]
    inspector = Visitor(service, "inspector")
    page = inspector.get(f"/dealers/{dealer}/outcome").text
    assert f'<option value="{plan["plan_id"]}" selected>' in page
    listed = inspector.get(f"/dealers/{dealer}/outcome?list=L-20260101-000000000000").text
    assert plan["plan_id"] not in listed


def test_a_visit_that_lies_ahead_is_refused_by_its_days(service, plan):
    dealer, ahead = of(plan, "random")[0], str(clock.today() + timedelta(days=400))
    for closed_on in (None, ahead):
        visit = told(plan, dealer, opened_on=ahead, closed_on=closed_on)
        assert service.post("/v1/outcomes", "chief", visit).json()["found"] == ahead
