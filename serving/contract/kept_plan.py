"""A plan as it is kept: one document for page, paper, calendar and spreadsheet."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from serving.contract.answers import Answer, Basis, Instant

PlanId = Annotated[str, StringConstraints(pattern=r"^P-[0-9]{8}-[0-9a-f]{12}$")]
Status = Literal["draft", "approved", "handed_over", "withdrawn"]
STATUS_WORDS: Final[dict[str, str]] = {
    "draft": "draft",
    "approved": "approved",
    "handed_over": "handed over",
    "withdrawn": "withdrawn",
}


class Absence(Answer):
    """Days on which one investigator is away, both ends included."""

    investigator: int = Field(ge=1, description="From 1, in the order of the plan's investigators")
    first_on: date
    last_on: date


class Holiday(Answer):
    """A federal holiday within the plan."""

    on: date
    name: str


class AlsoIn(Answer):
    """Another plan, of weeks that overlap, that holds dealers of this one."""

    plan_id: PlanId
    status: Status
    starts_on: date
    weeks: int
    investigators: list[str] = Field(description="Who carries that plan out")
    dealers: list[str] = Field(description="Keys of the dealers that are in both")


class KeptVisit(Answer):
    """One stop of a kept plan, with all that is needed at the door."""

    dealer: str
    name: str
    licensee_name: str
    license_number: str
    license_type: str
    street: str
    city: str
    state: str
    zip: str
    latitude: float
    longitude: float
    week: int
    investigator: int
    order: int
    part: int
    n_parts: int
    first_on: date
    last_on: date
    starts_after_hours: float
    hours: float
    drive_hours: float = Field(description="From the stop before, or from the start")
    km: float = Field(description="By road, estimated, from the stop before")
    expected_yield: float
    why: Literal["model", "random", "recall", "coverage", "list"]
    inclusion_probability: float
    last_inspected_on: date | None
    last_outcome: str | None
    last_kind: str | None = Field(
        default=None,
        description="Of what kind it was, `compliance` or `recall`; null when there is none, or"
        " where the scored table does not tell",
    )
    reasons: list[str]
    override: str = Field(
        default="",
        description="That the dealer was visited, or overridden on a list, since; empty when not",
    )
    elsewhere: str = Field(
        default="",
        description="Which other plans of these weeks hold the dealer, and with whom it is since it"
        " was handed over on a list, of what the reader may know; empty when none",
    )


class KeptPlan(Answer):
    """A plan as kept; each change is a new version, and none is ever removed."""

    plan_id: PlanId
    version: int = Field(ge=1)
    status: Status
    office: str
    starts_on: date
    weeks: int
    hours_per_week: float
    latitude: float
    longitude: float
    start: str = Field(
        default="", description="What is at the start of the weeks; empty in plans kept before"
    )
    investigators: list[str] = Field(description="Who carries it out, by account name where known")
    absences: list[Absence]
    holidays: list[Holiday]
    moves: list[str] = Field(description="Changes by hand: DEALER~WEEK.INVESTIGATOR or DEALER~out")
    rules: dict[str, float | int | str | None]
    visits: list[KeptVisit]
    head: str = Field(
        default="",
        description="Head whose value `expected_yield` is; empty in plans kept before",
    )
    n_drawn: int | None = Field(
        default=None,
        description="How many dealers the draw gave when the plan was made, those that found no"
        " place included; null in plans kept before",
    )
    objective: float
    bound: float | None = Field(description="Null after a change by hand: nothing is proven then")
    set_aside: dict[str, int] = Field(
        description="Dealers that cannot be planned, by reason, of those its reader sees now"
    )
    shortfalls: list[str]
    broken: list[str] = Field(description="Rules that changes by hand break, in sentences")
    also_in: list[AlsoIn] = Field(
        default_factory=list,
        description="Other plans of these weeks, of those the reader sees and not withdrawn, that"
        " hold dealers of this one",
    )
    note: str
    owner: str
    who: str = Field(description="Who made this version")
    at: Instant
    basis: Basis
    disclaimers: list[str]


class PlanSummary(Answer):
    """What identifies a kept plan."""

    plan_id: PlanId
    version: int
    status: Status
    office: str
    starts_on: date
    weeks: int
    n_dealers: int
    investigators: list[str]
    owner: str
    who: str
    at: Instant


class PlanList(Answer):
    """The plans a caller may see, newest first."""

    plans: list[PlanSummary]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` to read on; null at the end"
    )
    disclaimers: list[str]
