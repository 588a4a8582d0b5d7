"""Steps of referrals, case requests, and who answers for what."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from serving.contract.answers import NO_NUL, Answer, DealerKey, Instant, Note, Premises, Request
from serving.contract.plain_values import Count

# An account, or what an issuer calls somebody.
Person = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300, pattern=NO_NUL)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120, pattern=NO_NUL)]
Result = Literal[
    "straw_purchase_confirmed", "trafficking_confirmed", "firearms_recovered", "lawful",
    "not_enough_evidence", "known_already", "other",
]  # fmt: skip
# Results that confirm a crime, or brought firearms back.
CONFIRMED: Final[tuple[Result, ...]] = (
    "straw_purchase_confirmed", "trafficking_confirmed", "firearms_recovered",
)  # fmt: skip
CaseBasis = Literal[
    "criminal_investigation", "trace_of_a_firearm", "warrant", "court_order"
]  # fmt: skip


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


class StepRequest(Request):
    """One step in the life of a referral."""

    step: Literal["take", "hand_over", "close"]
    to_agency: Short = Field(default="", description="Of a handing over")
    to_who: Person = Field(default="", description="Of a handing over: an account of the service")
    result: Result | None = Field(default=None, description="Needed to close")
    note: Note = ""


class ReferralStep(Answer):
    """A step as kept."""

    step: str
    who: str
    to_agency: str
    to_who: str
    result: str
    note: str
    at: Instant


class Responsible(Answer):
    """An agency that answers for a subject in an area."""

    agency: str
    area: str
    subject: str
    contact: str
    starts_on: date
    ends_on: date | None


class ReferralAnswer(Referral):
    """A referral with its life, and whom to call."""

    steps: list[ReferralStep]
    call: list[Responsible]
    statement: str
    disclaimers: list[str]


class CaseRequest(Request):
    """Named dealers asked for in a case."""

    case_reference: Annotated[Short, StringConstraints(min_length=3, max_length=80)]
    legal_basis: CaseBasis
    agency: Annotated[Short, StringConstraints(min_length=2)]
    why: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=10, max_length=2_000, pattern=NO_NUL),
    ]
    dealers: list[DealerKey] = Field(min_length=1, max_length=50)
    approver: Annotated[Person, StringConstraints(min_length=2)] = Field(
        description="The account of a supervisor, not the caller's own"
    )
    days: Count = Field(default=30, ge=1, le=90, description="Days until it expires")


class CaseDecision(Request):
    """What the approver says."""

    approved: list[DealerKey] = Field(max_length=50, description="Empty to refuse all")
    note: Note = ""


class CaseRow(Premises):
    """An approved dealer: its premises, no score."""


class CaseAnswer(Answer):
    """A case request, and the rows approved."""

    request_id: str
    case_reference: str
    legal_basis: str
    agency: str
    why: str
    dealers: list[str]
    who: str
    at: Instant
    approver: str
    expires_at: Instant
    status: Literal["asked", "approved", "refused"]
    approved: list[str]
    decided_at: Instant | None
    decision_note: str
    rows: list[CaseRow]
    disclaimers: list[str]


class Gap(Answer):
    """A subject that nobody answers for in some areas."""

    subject: str
    areas: list[str]


class ResponsibilityAnswer(Answer):
    """The table of who answers for what, with what is doubled and what is missing today."""

    rows: list[Responsible]
    overlaps: list[list[Responsible]]
    gaps: list[Gap]
