"""Which plan ordered a visit, and with what probability: joined when the outcome comes back.

What was drawn and chosen is what the plan was when it was made: a later version, changed by hand,
says who was to be visited, and that it was approved.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import sqlalchemy as sa

from serving.contract.kept_plan import KeptPlan, KeptVisit
from serving.contract.records.field import DesignOfVisit
from serving.errors import ConflictError, UnknownPlanError
from serving.store.tables import PLANS

_ORDERS: Final = ("approved", "handed_over")
_SELECTED_BY: Final = {
    "model": "risk",
    "random": "random",
    "recall": "recall",
    "coverage": "other",
}
# What a plan chooses itself, in which no chance has a part.
_CERTAIN: Final = frozenset({"model", "coverage"})


def design_of_plan(
    connection: sa.Connection, plan_id: str, *, dealer: str, opened_on: date
) -> DesignOfVisit:
    """Return the design of a visit that a plan ordered.

    Raises
    ------
    UnknownPlanError
        When no version of the plan that was approved has the dealer.
    ConflictError
        When the visit was opened before the plan's as-of date, or a list put the dealer into it.
    """
    query = sa.select(PLANS.c.document, PLANS.c.status, PLANS.c.version)
    query = query.where(PLANS.c.plan_id == plan_id).order_by(PLANS.c.version)
    plans = [
        (row.status, KeptPlan.model_validate_json(bytes(row.document)))
        for row in connection.execute(query)
    ]
    if not any(status in _ORDERS and _visit_of(plan, dealer) for status, plan in plans):
        raise UnknownPlanError(
            "There is no such plan that was approved, or the dealer is not in it.",
            found=plan_id,
            expected="the plan that ordered the visit, or no plan_id",
        )
    made = plans[0][1]
    if opened_on < made.basis.as_of:
        raise ConflictError(
            "The plan cannot have ordered a visit that was opened before it.",
            found=f"opened on {opened_on}, the plan is as of {made.basis.as_of}",
            fix="name the plan that ordered it, or leave plan_id out",
        )
    own = _visit_of(made, dealer)
    if own is not None and own.why == "list":
        raise ConflictError(
            "A list put the dealer into this plan, so the list ordered the visit.",
            fix="name that list by list_id, and no plan_id",
        )
    # Who is not in the plan as it was made came in by hand.
    why = "manual" if own is None else own.why
    by_reason = {visit.dealer: visit.why for visit in made.visits}
    # A drawn dealer for which the weeks had no place is owed all the same: it is no accident who.
    n_visited = sum(one == "random" for one in by_reason.values())
    n_drawn = n_visited if made.n_drawn is None else made.n_drawn
    return {
        "list_id": None,
        "plan_id": plan_id,
        "why": why,
        "inclusion_probability": 1.0 if own is None else own.inclusion_probability,
        "is_mandatory": why == "random",
        "mandatory_probability": 1.0 if why == "random" else None,
        "certain_places": sum(one in _CERTAIN for one in by_reason.values()) or None,
        "mandatory_places": n_drawn or None,
        "selected_by": _SELECTED_BY.get(why, "other"),
    }


def _visit_of(plan: KeptPlan, dealer: str) -> KeptVisit | None:
    return next((visit for visit in plan.visits if visit.dealer == dealer), None)
