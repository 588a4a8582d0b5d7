"""Events fed in: rows of the tables that grow by the day."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from serving.contract.answers import (
    Answer,
    Request,
)

EventTable = Literal[
    "traces", "multiple_sales", "thefts_losses", "seizures", "ballistic_leads", "tips"
]  # fmt: skip


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
