"""What an inspection found, as it is told and as it is acknowledged."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from serving.contract.answers import (
    NO_NUL,
    Answer,
    DealerKey,
    Instant,
    LegalBasis,
    ListId,
    Request,
    Why,
)
from serving.contract.field.recorded import RecordDay, RecordName, Token, bounds
from serving.contract.kept_plan import PlanId
from serving.contract.plain_values import Count, Number

Outcome = Literal[
    "none", "report", "warning_letter", "warning_conference", "revocation", "surrender", "other"
]
Kind = Literal["application", "compliance", "recall", "trace", "criminal", "warrant"]
SelectedBy = Literal[
    "risk", "random", "recall", "complaint", "application", "other", "unknown"
]  # fmt: skip


class Citation(BaseModel):
    """One violation found."""

    model_config = ConfigDict(extra="forbid", str_max_length=80)

    citation: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, pattern=NO_NUL)
    ] = Field(examples=["478.124(c)(1)"])
    instances: Annotated[Count, bounds("violations", "instances")] | None = None
    is_willful: bool | None = None
    is_repeat: bool | None = None


class OutcomeRequest(Request):
    """What an inspection found."""

    inspection_id: RecordName
    dealer: DealerKey
    kind: Kind = "compliance"
    opened_on: RecordDay
    closed_on: RecordDay | None = Field(
        default=None, description="Null while it is open; in the records only once it is closed"
    )
    selected_by: SelectedBy = Field(
        default="risk",
        description="Follows from the list or plan where one is named; random without is unknown",
    )
    list_id: ListId | None = Field(
        default=None, description="The list that ordered it: its design is kept with the outcome"
    )
    plan_id: PlanId | None = Field(
        default=None,
        description="The plan that ordered it, once approved: its design is kept with the outcome."
        " Name the list or the plan, not both",
    )
    investigator_token: Token | None = Field(
        default=None,
        description="Opaque; absent, it stays the one on record, else stands for who reports",
    )
    legal_basis: LegalBasis | None = Field(
        default=None, description="Needed when the dealer was not eligible on opened_on"
    )
    hours: Annotated[Number, bounds("inspections", "hours")] | None = None
    outcome: Outcome
    recommended_outcome: Outcome | None = None
    firearms_unaccounted_initial: (
        Annotated[Count, bounds("inspections", "firearms_unaccounted_initial")] | None
    ) = None
    firearms_unaccounted_final: (
        Annotated[Count, bounds("inspections", "firearms_unaccounted_final")] | None
    ) = None
    violations: list[Citation] = Field(default_factory=list, max_length=200)

    @model_validator(mode="after")
    def _one_thing_ordered_it(self) -> OutcomeRequest:
        if self.list_id is not None and self.plan_id is not None:
            raise ValueError("plan_id beside list_id: one of them ordered the visit")
        return self

    @model_validator(mode="after")
    def _dates_follow_each_other(self) -> OutcomeRequest:
        if self.closed_on is not None and self.closed_on < self.opened_on:
            raise ValueError("closed_on is before opened_on")
        return self

    @model_validator(mode="after")
    def _missing_in_the_end_are_of_those_missing_at_first(self) -> OutcomeRequest:
        first, last = self.firearms_unaccounted_initial, self.firearms_unaccounted_final
        if first is not None and last is not None and last > first:
            raise ValueError("firearms_unaccounted_final is above firearms_unaccounted_initial")
        return self


class OutcomeAnswer(Answer):
    """The outcome as kept. A later one for the same inspection is a new version."""

    inspection_id: str
    version: int
    dealer: str
    eligible_on: date | None
    is_label: bool = Field(
        description="Whether the next training set takes it: closed, of kind `compliance`, and no"
        " visit that follows a finding"
    )
    selected_by: SelectedBy = Field(description="As kept: the list's word where there is a list")
    list_id: ListId | None
    plan_id: PlanId | None
    why: Why | None = Field(description="Why list or plan had the dealer; null without one")
    inclusion_probability: float | None = Field(
        gt=0, le=1, description="With which it had the dealer; null where it is not known"
    )
    is_mandatory: bool | None
    at: Instant
    replaces_record_of: date | None = Field(
        default=None,
        description="Since which day the records had this inspection, where this outcome now"
        " stands for what they had",
    )
