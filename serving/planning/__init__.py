"""Which dealers an office visits in which week: chosen by a solver, routed by another.

The planner's door: a table of candidates and a request in, a plan out. Everything behind it is
a pure function of its arguments.
"""

from __future__ import annotations

from serving.planning.candidates import COLUMNS as CANDIDATE_COLUMNS
from serving.planning.change import Changed, Placed, arrange
from serving.planning.itinerary import Plan, Visit, Week
from serving.planning.planner import make_plan
from serving.planning.request import PlanError, PlanRequest, expected_hours
from serving.planning.solving.price import Cost, PlanInfeasibleError, Relaxation, Sensitivity

__all__ = [
    "CANDIDATE_COLUMNS",
    "Changed",
    "Cost",
    "Placed",
    "Plan",
    "PlanError",
    "PlanInfeasibleError",
    "PlanRequest",
    "Relaxation",
    "Sensitivity",
    "Visit",
    "Week",
    "arrange",
    "expected_hours",
    "make_plan",
]
