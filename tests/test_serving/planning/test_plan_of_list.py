"""A plan holds the dealers that a list says must be visited, or names them with why not."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest

from serving.planning import PlanError, PlanInfeasibleError, make_plan
from tests.benchmarks.inputs.office import STARTS_ON
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.test_crowded_plan import CROWDED, crowded_office

ASK = {"office": "office0", "weeks": 4, "hours_per_week": 40, "n_investigators": 9,
       "starts_on": "2026-01-12"}  # fmt: skip
FORM = {"office": "office0", "weeks": 4, "hours": 40, "investigators": 9, "starts_on": "2026-01-12"}


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


@pytest.fixture
def listed(service):
    ask = {"area": {"division": "division0"}, "k": 30, "random_share": 0.2}
    return service.post("/v1/rank", "supervisor", ask).json()


def plan_of(service, listed, **more):
    answer = service.post("/v1/plan", "supervisor", ASK | {"from_list": listed["list_id"]} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def must(listed, office="office0", *, is_all=False):
    return {
        row["dealer"]
        for row in listed["rows"]
        if row["office"] == office and (is_all or row["is_mandatory"])
    }


def test_what_a_list_requires_is_in_the_plan_or_named_with_why_not(service, listed):
    for require in ("mandatory", "all"):
        plan = plan_of(service, listed, require=require)
        found = plan["from_list"]
        visited = {visit["dealer"] for visit in plan["visits"]}
        asked = {r["dealer"] for r in listed["rows"] if require == "all" or r["is_mandatory"]}
        own = must(listed, is_all=require == "all")
        left = {one["dealer"]: one["why"] for one in found["not_planned"]}
        assert (found["list_id"], found["require"]) == (listed["list_id"], require)
        assert set(found["planned"]) == asked & visited
        assert left.keys() == asked - visited
        assert {left[dealer] for dealer in asked - own} <= {"of another office"}
        assert own - left.keys() <= visited
        assert all(left.values())
        for dealer in own & left.keys():
            (said,) = (one for one in plan["shortfalls"] if one.startswith(dealer))
            assert "required from the list" in said or "due for recall" in said
    free = service.post("/v1/plan", "supervisor", ASK).json()
    assert free["from_list"] is None
    assert not {visit["why"] for visit in free["visits"]} & {"list"}


def test_a_required_dealer_that_nobody_would_choose_is_there_for_the_list(service):
    """Of a list of the least likely dealers all are planned, and say that it is for the list."""
    runtime = service.runtime
    columns = runtime.snapshot.columns
    own = np.flatnonzero((columns["office"] == "office0") & ~columns["is_recall_due"])
    least = own[np.argsort(columns[runtime.snapshot.heads[0]][own])][:3]
    by_hand = [{"dealer": str(columns["dealer"][i]), "reason": "tip"} for i in least]
    ask = {"area": {"office": "office0"}, "k": 3, "random_share": 0, "manual": by_hand}
    listed = service.post("/v1/rank", "supervisor", ask).json()
    plan = plan_of(service, listed, require="all", random_share=0)
    left = {one["dealer"] for one in plan["from_list"]["not_planned"]}
    why = {visit["dealer"]: visit["why"] for visit in plan["visits"]}
    for row in by_hand:
        assert row["dealer"] in left or why[row["dealer"]] == "list"
    assert "list" in why.values()
    free = service.post("/v1/plan", "supervisor", ASK | {"random_share": 0}).json()
    assert free["objective"] >= plan["objective"] - 1e-9
    (cost,) = [cost for cost in plan["costs"] if cost["rule"] == "list"]
    assert cost["yield_lost"] >= 0
    assert not [cost for cost in free["costs"] if cost["rule"] == "list"]


def test_who_was_visited_or_overridden_since_need_not_be_planned(service, listed):
    rows = [row["dealer"] for row in listed["rows"] if row["office"] == "office0"]
    visited, overridden, closed = rows[:3]
    body = {"inspection_id": "I-1", "dealer": visited, "opened_on": "2026-01-20", "outcome": "none"}
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    for dealer, reason in ((overridden, "wrong_place"), (closed, "out_of_business")):
        body = {
            "list_id": listed["list_id"],
            "dealer": dealer,
            "decision": "override",
            "reason": reason,
        }
        assert service.post("/v1/decisions", "supervisor", body).status_code == 200
    plan = plan_of(service, listed, require="all")
    left = {one["dealer"]: one["why"] for one in plan["from_list"]["not_planned"]}
    assert left[visited] == "visited 2026-01-20"
    assert left[closed] == "out of business"
    assert left.get(overridden, "overridden on the list") == "overridden on the list"
    assert not [s for s in plan["shortfalls"] if "list" in s and overridden in s]


def test_a_list_that_is_not_the_callers_is_none(service, listed):
    body = ASK | {"from_list": "L-20260101-000000000000"}
    assert service.post("/v1/plan", "supervisor", body).status_code == 404
    private = service.post("/v1/rank", "chief", {"area": {"office": "office4"}, "k": 3}).json()
    body = ASK | {"from_list": private["list_id"]}
    assert service.post("/v1/plan", "supervisor", body).status_code == 404


def test_the_page_requires_the_mandatory_ones_in_one_step(supervisor, listed):
    form = supervisor.get(f"/plan?from_list={listed['list_id']}").text
    assert '<option value="mandatory" selected>' in form
    asked = FORM | {"from_list": listed["list_id"]}
    text = supervisor.get(f"/plan?{urlencode(asked | {'require': 'mandatory'})}").text
    planned = set(re.findall(r'name="move_dealer".*?</select>', text, re.DOTALL))
    (options,) = planned
    shown = set(re.findall(r'value="(\d-\d\d-\d{5})"', options.split("Left out")[0]))
    missing = set(re.findall(r'href="/dealers/([^"?]+)\?list=', text.split("<form")[1] + text))
    assert must(listed) <= shown | missing
    # Kept, it is the plan that was shown.
    ask = unescape(re.search(r'name="ask" value="([^"]*)"', text)[1])
    assert "require=mandatory" in ask
    kept = supervisor.post("/plans", {"ask": ask}, at="/lists")
    assert kept.status_code == 303
    # An address of before asks for nothing of the list.
    before = supervisor.get(f"/plan?{urlencode(asked)}").text
    assert '<option value="none" selected>' in before


def test_what_the_list_requires_beyond_the_hours_is_offered_to_a_later_plan():
    names = tuple(f"5-72-Q000{i}" for i in range(5))
    office: pd.DataFrame = crowded_office().assign(is_recall_due=False)
    ask = replace(CROWDED, random_share=0.0, weeks=1, n_investigators=1, required=names)
    with pytest.raises(PlanInfeasibleError) as refused:
        make_plan(office, ask)
    (offer,) = [one for one in refused.value.relaxations if one.rule == "list"]
    assert offer.sentence.startswith(
        f"Leave {len(offer.dealers)} of 4 dealers required from the list"
    )
    plan = make_plan(office, replace(ask, later=offer.dealers))
    assert set(plan.dealers) | plan.listed_missing.keys() == set(names)
    assert {plan.listed_missing[one] for one in offer.dealers} == {"left to a later plan by hand"}
    with pytest.raises(PlanError, match="left to a later plan"):
        make_plan(office, replace(ask, required=(), later=offer.dealers))


def test_what_cannot_be_visited_in_the_weeks_is_named_and_not_required():
    office = crowded_office().assign(is_recall_due=False)
    late = office["dealer"] == "5-72-Q0004"
    office["eligible_on"] = office["eligible_on"].where(
        ~late, pd.Timestamp(STARTS_ON) + pd.Timedelta(days=90)
    )
    office.loc[office["dealer"] == "5-72-Q0003", "latitude"] = np.nan
    ask = replace(
        CROWDED, random_share=0.0, required=("5-72-Q0002", "5-72-Q0003", "5-72-Q0004", "9-99-Z9999")
    )
    plan = make_plan(office, ask)
    assert dict(plan.listed_missing) == {
        "5-72-Q0003": "no place known", "5-72-Q0004": "not eligible in these weeks",
        "9-99-Z9999": "not among the office's dealers now",
    }  # fmt: skip
    assert {v.dealer: v.why for v in plan.visits}["5-72-Q0002"] == "list"
    assert len([s for s in plan.shortfalls if "required from the list" in s]) == 3
