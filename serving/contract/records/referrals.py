"""Referrals, case requests and who answers for what, key by key."""

from __future__ import annotations

from datetime import date
from typing import NotRequired, TypedDict

from serving.contract.records.dealers import PremisesRecord


class EvidenceRecord(TypedDict):
    """The records of a pattern: of sales, or of a firearm recovered soon after one."""

    records: list[str]
    n_firearms: NotRequired[int]
    first_on: NotRequired[str]
    last_on: NotRequired[str]
    days_from_sale_to_recovery: NotRequired[int]
    recovery_country: NotRequired[str]
    destination: NotRequired[str]


class StandingRecord(TypedDict):
    """A referral as it stands."""

    referral_id: int
    pattern: str
    dealers: list[str]
    evidence: EvidenceRecord
    opened_at: str
    taken_by: str | None
    taken_at: str | None
    destination: str | None
    agency: str | None
    result: str | None
    closed_at: str | None


class AfterStep(TypedDict, total=False):
    """What a step changes of a referral."""

    taken_by: str | None
    taken_at: str | None
    agency: str | None
    result: str
    closed_at: str


class DaysRecord(TypedDict):
    """How many days a referral waited to be taken, and has been open."""

    days_to_take: float | None
    days_open: float | None


class ReferralRecord(StandingRecord, DaysRecord):
    """A referral with its life in a word and in days."""

    status: str


class StepRecord(TypedDict):
    """A step in the life of a referral."""

    step: str
    who: str
    to_agency: str
    to_who: str
    result: str
    note: str
    at: str


class ResponsibleRecord(TypedDict):
    """An agency that answers for a subject in an area."""

    agency: str
    area: str
    subject: str
    contact: str
    starts_on: date
    ends_on: date | None


class ReferralDocument(ReferralRecord):
    """A referral with its steps, and whom to call."""

    steps: list[StepRecord]
    call: list[ResponsibleRecord]
    statement: str
    disclaimers: list[str]


class CaseRecord(TypedDict):
    """A case request as it stands."""

    request_id: str
    case_reference: str
    legal_basis: str
    agency: str
    why: str
    dealers: list[str]
    who: str
    at: str
    approver: str
    expires_at: str
    status: str
    approved: list[str]
    decided_at: str | None
    decision_note: str


class CaseDocument(CaseRecord):
    """A case request with the rows approved."""

    rows: list[PremisesRecord]
    disclaimers: list[str]


class GapRecord(TypedDict):
    """A subject that nobody answers for in some areas."""

    subject: str
    areas: list[str]


class ResponsibilitiesDocument(TypedDict):
    """Who answers for what, with what is doubled and what is missing."""

    rows: list[ResponsibleRecord]
    overlaps: list[list[ResponsibleRecord]]
    gaps: list[GapRecord]
