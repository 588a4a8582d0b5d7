"""What comes first where not all that is required has a place."""

from dataclasses import replace

import pandas as pd
import pytest

from serving.planning import (
    PlanError,
    PlanInfeasibleError,
    PlanRequest,
    make_plan,
)
from serving.planning.kept.in_names import dealers_in
from tests.benchmarks.inputs.office import STARTS_ON

CROWDED = PlanRequest(
    29.45, -98.52, STARTS_ON, weeks=2, hours_per_week=41, n_investigators=2, random_share=0.15
)


def crowded_office() -> pd.DataFrame:
    """A recall that fills three of four weeks, another, two dealers drawn and a likely one."""
    rows = [
        (30.0, -100.2, 95.4, 0.25, True), (29.66, -98.14, 19.0, 0.37, True),
        (29.1, -98.2, 17.3, 0.01, False), (30.3, -97.75, 8.7, 0.01, False),
        (29.6, -98.3, 13.0, 0.25, False),
    ]  # fmt: skip
    names = ["latitude", "longitude", "hours", "expected_yield", "is_recall_due"]
    return pd.DataFrame(rows, columns=names).assign(
        dealer=[f"5-72-Q000{i}" for i in range(len(rows))],
        eligible_on=pd.Timestamp(STARTS_ON),
        unseen_days=900.0,
    )


def test_what_is_drawn_comes_before_what_is_likely_where_not_all_has_a_place():
    plan = make_plan(crowded_office(), CROWDED)
    assert set(plan.dealers[-2:]) == {"5-72-Q0002", "5-72-Q0001"}
    assert [s.split(" and ")[0] for s in plan.shortfalls] == ["5-72-Q0003 was drawn at random"]
    # The bound holds for whoever leaves that one out: the likely dealer may have its place.
    assert plan.objective == pytest.approx(0.63)
    assert plan.bound > plan.objective
    assert plan.gap == pytest.approx(1 - plan.objective / plan.bound)


def test_recalls_left_to_a_later_plan_are_named_and_make_room():
    with pytest.raises(PlanInfeasibleError) as caught:
        make_plan(crowded_office(), replace(CROWDED, hours_per_week=40))
    offer = next(r for r in caught.value.relaxations if r.rule == "recalls")
    assert offer.dealers == ("5-72-Q0000",)
    assert offer.sentence == "Leave 1 of the 2 recalls due to a later plan: 5-72-Q0000."
    plan = make_plan(crowded_office(), replace(CROWDED, hours_per_week=40, later=offer.dealers))
    assert set(plan.dealers) == {f"5-72-Q000{i}" for i in (1, 2, 3, 4)}
    assert plan.set_aside["left to a later plan by hand"] == 1
    assert dealers_in(plan.shortfalls) == {"5-72-Q0000"}
    with pytest.raises(PlanError, match="not due for recall") as refused:
        make_plan(crowded_office(), replace(CROWDED, later=("5-72-Q0004",)))
    assert refused.value.found == "5-72-Q0004"
