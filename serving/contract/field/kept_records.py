"""Decisions and outcomes as they are kept, for programs that read them back."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from serving.contract.answers import Answer, Instant, LegalBasis, Why
from serving.contract.field.outcomes import Citation, Kind, Outcome, SelectedBy


class KeptDecision(Answer):
    """A decision as kept. A later one about the same dealer of the list replaces it."""

    decision_id: int
    list_id: str
    dealer: str
    decision: Literal["accept", "override"]
    reason: str
    note: str
    legal_basis: str
    who: str
    at: Instant


class KeptDecisions(Answer):
    """Decisions in the order of their keeping."""

    decisions: list[KeptDecision]
    next_cursor: int | None = Field(description="Give it as `cursor` to read on; null at the end")


class KeptOutcome(Answer):
    """One version of what an inspection found, as kept."""

    outcome_id: int = Field(description="Its place in the order of keeping")
    inspection_id: str
    version: int = Field(ge=1)
    dealer: str
    kind: Kind
    opened_on: date
    closed_on: date | None
    outcome: Outcome
    recommended_outcome: Outcome | None
    hours: float | None
    firearms_unaccounted_initial: int | None
    firearms_unaccounted_final: int | None
    violations: list[Citation]
    legal_basis: LegalBasis | None
    selected_by: SelectedBy
    list_id: str | None
    plan_id: str | None
    why: Why | None = Field(description="Why list or plan had the dealer; null without one")
    inclusion_probability: float | None
    is_mandatory: bool | None
    investigator_token: str | None
    who: str = Field(description="Who told it")
    at: Instant


class KeptOutcomes(Answer):
    """Outcomes in the order of their keeping, every version."""

    outcomes: list[KeptOutcome]
    next_cursor: int | None = Field(description="Give it as `cursor` to read on; null at the end")
    disclaimers: list[str]
