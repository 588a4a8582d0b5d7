"""What comes back from the field, as it is kept and answered, key by key."""

from __future__ import annotations

from datetime import date
from typing import TypedDict

from serving.contract.records.lists import KeptDecisionRecord


class DesignOfVisit(TypedDict):
    """Which list or plan ordered a visit, and with what probability: columns of `inspections`."""

    list_id: str | None
    plan_id: str | None
    why: str | None
    inclusion_probability: float | None
    is_mandatory: bool | None
    mandatory_probability: float | None
    certain_places: int | None
    mandatory_places: int | None
    selected_by: str


class OutcomeRecord(TypedDict):
    """An outcome as kept, as it is answered."""

    inspection_id: str
    version: int
    dealer: str
    eligible_on: date | None
    is_label: bool
    selected_by: str
    list_id: str | None
    plan_id: str | None
    why: str | None
    inclusion_probability: float | None
    is_mandatory: bool | None
    at: str
    replaces_record_of: date | None


class CitationRecord(TypedDict):
    """One violation found."""

    citation: str
    instances: int | None
    is_willful: bool | None
    is_repeat: bool | None


class ToldRecord(TypedDict):
    """What an inspection found, as it was told."""

    kind: str
    opened_on: str
    closed_on: str | None
    outcome: str
    recommended_outcome: str | None
    hours: float | None
    firearms_unaccounted_initial: int | None
    firearms_unaccounted_final: int | None
    violations: list[CitationRecord]
    legal_basis: str | None
    selected_by: str
    list_id: str | None
    plan_id: str | None
    why: str | None
    inclusion_probability: float | None
    is_mandatory: bool | None
    investigator_token: str | None


class KeptOutcomeRecord(ToldRecord):
    """One version of an outcome, read back."""

    outcome_id: int
    inspection_id: str
    version: int
    dealer: str
    who: str
    at: str


class DecisionsDocument(TypedDict):
    """Decisions in the order of their keeping."""

    decisions: list[KeptDecisionRecord]
    next_cursor: int | None


class OutcomesDocument(TypedDict):
    """Outcomes in the order of their keeping, every version."""

    outcomes: list[KeptOutcomeRecord]
    next_cursor: int | None
    disclaimers: list[str]


class RejectedRecord(TypedDict):
    """A row that was not stored, with the reason code of the data contract."""

    row: int
    column: str
    code: str
    detail: str
    clashes_with: list[int]


class EventsDocument(TypedDict):
    """What was stored of the rows that came, and who is rescored."""

    table: str
    n_stored: int
    n_known: int
    rejected: list[RejectedRecord]
    pending: list[str]
    n_referrals: int


class ChangeRecord(TypedDict):
    """One write, as a program that follows along reads it."""

    seq: int
    at: str
    kind: str
    ref: str
    dealers: list[str]
