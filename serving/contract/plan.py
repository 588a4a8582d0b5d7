"""What goes into a plan and what comes out of one, as types."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.contract.answers import Answer, Basis, DealerKey, ListId, Name, Request
from serving.contract.plain_values import Count, Day, Number
from serving.settings import RANDOM_SHARE

# Weeks are counted from it: a day at the end of time has none after it.
FirstDay = Annotated[Day, Field(ge=date(2000, 1, 1), le=date(2100, 12, 31))]


class StartPoint(BaseModel):
    """Where each investigator's week starts and ends."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    latitude: Number = Field(ge=-90, le=90)
    longitude: Number = Field(ge=-180, le=180)


class PlanRules(BaseModel):
    """Hours and rules of a plan: the one place of their defaults and bounds.

    The API, the page and the planner all take them from here.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    weeks: Count = Field(default=4, ge=1, le=26)
    hours_per_week: Number = Field(
        default=40.0, ge=8, le=80, description="Of one investigator, driving included"
    )
    n_investigators: Count = Field(default=1, ge=1, le=20)
    random_share: Number = Field(
        default=RANDOM_SHARE, ge=0, le=0.5, description="Share of the hours, in expectation"
    )
    coverage_years: Number | None = Field(
        default=None,
        gt=0,
        le=50,
        description="A dealer unseen for longer is overdue; no quota: null",
    )
    coverage_share: Number = Field(
        default=1.0, ge=0, le=1, description="Share of the overdue dealers that must be visited"
    )
    seed: Count = Field(
        default=0, ge=0, lt=2**53, description="Of the router; the draw is fixed by the period"
    )


RULES: Final = PlanRules.model_fields


def most(name: str) -> float:
    """Return the largest value of a rule that has one."""
    return next(float(m.le) for m in RULES[name].metadata if hasattr(m, "le"))


def least(name: str) -> float:
    """Return the smallest value of a rule that has one."""
    return next(float(m.ge) for m in RULES[name].metadata if hasattr(m, "ge"))


# Which dealers of a list a plan must hold.
Require = Literal["mandatory", "all"]


class PlanAsk(PlanRules, Request):
    """An office, its hours and its rules."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    office: Name
    starts_on: FirstDay | None = Field(
        default=None,
        description="First day of the first week; the first Monday from today on, or from the "
        "records' day where that is later, when absent",
    )
    start: StartPoint | None = Field(
        default=None,
        description="When absent, what stands for the office",
    )
    later: list[DealerKey] = Field(
        default_factory=list,
        max_length=100,
        description="Recalls due, and dealers required from the list, that are left to a later "
        "plan; the plan names them",
    )
    from_list: ListId | None = Field(
        default=None, description="A list whose dealers of the office must be in the plan"
    )
    require: Require = Field(
        default="mandatory",
        description="Of that list: its mandatory dealers, or all; those visited or overridden since"
        " and those that cannot be visited in these weeks are named, not required",
    )


class PlannedVisit(Answer):
    """One stop of the itinerary."""

    dealer: str
    week: int
    investigator: int = Field(description="Investigators are interchangeable")
    order: int
    part: int
    n_parts: int = Field(description="A visit longer than one week is done in parts")
    starts_after_hours: float = Field(description="Into the week, driving included")
    hours: float = Field(description="On site")
    expected_yield: float = Field(description="Of the whole visit")
    why: Literal["model", "random", "recall", "coverage", "list"]
    inclusion_probability: float = Field(gt=0, le=1)


class PlannedWeek(Answer):
    """One investigator's week, summed up."""

    week: int
    investigator: int
    starts_on: date
    n_visits: int
    visit_hours: float
    drive_hours: float
    hours_available: float
    km: float = Field(description="By road, estimated")


class RuleCost(Answer):
    """What one rule takes from the yield."""

    rule: str
    meaning: str
    yield_lost: float = Field(description="Of relaxed optima, not of the routed itinerary")


class OtherHours(Answer):
    """What the plan could yield with other hours."""

    hours_per_week: float
    bound: float | None = Field(description="Null when the rules cannot be met")
    change: float | None


class PlanStart(Answer):
    """Where each investigator's week starts and ends."""

    latitude: float
    longitude: float
    what: str = Field(description="The office's stated address, or what stands for it")


class NotPlanned(Answer):
    """A dealer that was asked for from a list and is not in the plan."""

    dealer: str
    why: str


class PlannedList(Answer):
    """How a plan holds the dealers that were asked for from a list."""

    list_id: str
    require: Require
    planned: list[str] = Field(description="Dealers asked for that are in the plan")
    not_planned: list[NotPlanned] = Field(description="Those that are not, and why")


class PlanAnswer(Answer):
    """Which dealers, when, in what order, and how good that is at the most and at the least."""

    basis: Basis
    office: str
    starts_on: date
    start: PlanStart
    visits: list[PlannedVisit]
    weeks: list[PlannedWeek]
    objective: float = Field(description="Expected yield of the itinerary")
    bound: float = Field(description="Proven upper bound of any itinerary under the same rules")
    gap: float = Field(ge=0, description="1 - objective / bound")
    selection_gap: float = Field(ge=0, description="What of it the integer program left unproven")
    yield_per_hour: float
    n_candidates: int
    n_overdue: int
    set_aside: dict[str, int] = Field(description="Dealers that could not be planned, by reason")
    shortfalls: list[str]
    costs: list[RuleCost]
    sensitivity: list[OtherHours] = Field(description="For 20% fewer and 20% more hours")
    inclusion_probability: float = Field(description="Of each dealer in the frame of the draw")
    n_drawn: int = Field(
        default=0, description="How many the draw gave, those that found no place included"
    )
    from_list: PlannedList | None = Field(default=None, description="Null without a list")
    disclaimers: list[str]
