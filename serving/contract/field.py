"""What comes back from the field, and what is fed in: decisions, outcomes, events, dossiers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from serving.contract.answers import (
    NO_NUL,
    Answer,
    Basis,
    DealerKey,
    Instant,
    LegalBasis,
    ListId,
    Premises,
    Request,
    Score,
    Why,
)
from serving.contract.kept_plan import PlanId
from serving.contract.plain_values import Count, Number
from serving.contract.recorded import RecordDay, RecordName, Token, bounds

Note = Annotated[str, StringConstraints(max_length=2_000, pattern=NO_NUL)]
Outcome = Literal[
    "none", "report", "warning_letter", "warning_conference", "revocation", "surrender", "other"
]
Kind = Literal["application", "compliance", "recall", "trace", "criminal", "warrant"]
SelectedBy = Literal[
    "risk", "random", "recall", "complaint", "application", "other", "unknown"
]  # fmt: skip
# What an inspector may say of a place on the list; each is judged at the next retraining.
OverrideReason = Literal[
    "recently_visited", "out_of_business", "known_low_risk", "wrong_place", "capacity",
    "safety", "other_agency_lead", "local_knowledge_higher_risk", "other",
]  # fmt: skip
OVERRIDE_WORDS: Final[Mapping[str, str]] = {
    "recently_visited": "Recently visited",
    "out_of_business": "Out of business",
    "known_low_risk": "Known to be low risk",
    "wrong_place": "Wrong place",
    "capacity": "No capacity",
    "safety": "Safety",
    "other_agency_lead": "Another agency leads",
    "local_knowledge_higher_risk": "Another dealer matters more",
    "other": "Other",
}
EventTable = Literal[
    "traces", "multiple_sales", "thefts_losses", "seizures", "ballistic_leads", "tips"
]  # fmt: skip


class DecisionRequest(Request):
    """Accept or override one dealer of a list."""

    list_id: ListId
    dealer: DealerKey
    decision: Literal["accept", "override"]
    reason: OverrideReason | None = Field(default=None, description="Needed for an override")
    note: Note = ""

    @model_validator(mode="after")
    def _an_override_says_why(self) -> DecisionRequest:
        if self.decision == "override" and self.reason is None:
            raise ValueError("an override needs a reason")
        return self


class DecisionAnswer(Answer):
    """The decision as kept."""

    decision_id: int
    list_id: ListId
    dealer: str
    decision: Literal["accept", "override"]
    reason: str
    at: Instant
    revises: int | None = Field(
        default=None, description="The decision about the same dealer of the list that it replaces"
    )


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


class EventsRequest(Request):
    """New rows of one table, as its canonical file has them."""

    table: EventTable
    rows: list[dict[str, Any]] = Field(min_length=1, max_length=1_000)


class RejectedEvent(Answer):
    """A row that was not stored, with the reason code of the data contract."""

    row: int
    column: str
    code: str
    detail: str = Field(description="What is expected there, with an example; no value is repeated")
    clashes_with: list[int] = Field(
        description="The rows of the request that say something else of the same key and day"
    )


class EventsAnswer(Answer):
    """What was stored and who was rescored."""

    table: str
    n_stored: int
    n_known: int = Field(description="Rows that were here already")
    rejected: list[RejectedEvent]
    pending: list[str] = Field(description="Dealers whose new score follows within seconds")
    n_referrals: int


class Referral(Answer):
    """A pattern of an on-going straw purchase, for agents at once."""

    referral_id: int
    pattern: str
    dealers: list[str]
    evidence: dict[str, Any]
    opened_at: Instant
    taken_by: str | None
    taken_at: Instant | None = None
    destination: str | None = Field(default=None, description="Where the firearm turned up")
    agency: str | None = Field(default=None, description="To which agency it was handed over last")
    status: Literal["open", "taken", "handed_over", "closed"] = "open"
    result: str | None = None
    closed_at: Instant | None = None
    days_to_take: float | None = None
    days_open: float | None = None


class Referrals(Answer):
    """The queue of referrals, newest first."""

    referrals: list[Referral]
    next_cursor: int | None = Field(
        default=None, description="Give it as `cursor` to read on; null at the end"
    )
    statement: str
    disclaimers: list[str]


class TimelineEntry(Answer):
    """One dated fact about a dealer."""

    on: date
    table: str
    what: str
    record_id: str


class HighPowered(Answer):
    """Firearms of the classes that the published reports single out; shown beside the priority.

    Unweighted, and no part of any score.
    """

    n_traces: int = Field(description="Semi-automatic rifles and rifles of .50 caliber traced")
    n_in_rifle_reports: int = Field(description="Rifles in reports of multiple sales")


class DossierTraces(Answer):
    """Traces that count toward the dealer, by where, what and how soon, as counts."""

    n_traces: int
    by_time_to_crime: dict[str, int]
    by_recovery: dict[str, int]
    by_destination: dict[str, int]
    by_class: dict[str, int]
    n_lawful_exports: int = Field(description="Left by lawful export or to a government; apart")
    n_unserialized: int = Field(description="Without a serial number; they count toward nobody")
    high_powered: HighPowered


class Successor(Answer):
    """Another license at the same premises or under the same licensee name."""

    dealer: str
    licensee_name: str
    city: str
    state: str
    relation: str


class Dossier(Premises):
    """All there is about one dealer."""

    basis: Basis
    score: Score
    timeline: list[TimelineEntry]
    citations: dict[str, int]
    traces: DossierTraces
    related: list[Successor]
    lists: list[str] = Field(description="Lists of this caller that it was on")
    disclaimers: list[str]


class FeaturesRequest(Request):
    """Rows of signals to score."""

    rows: list[dict[str, Number | None]] = Field(min_length=1, max_length=1_000)


class FeatureScore(Answer):
    """The scores of one row of signals."""

    heads: dict[str, dict[str, float]]
    priority: float
    support: float


class FeaturesAnswer(Answer):
    """One entry a row, in order."""

    basis: Basis
    scores: list[FeatureScore]
    out_of_range: list[str] = Field(
        description="Signals with values beyond those seen in training: those scores extrapolate"
    )
    disclaimers: list[str]
