"""Decisions about the dealers of a list: accepted, or overridden for a coded reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, model_validator

from serving.contract.answers import (
    Answer,
    DealerKey,
    Instant,
    ListId,
    Note,
    Request,
)

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
