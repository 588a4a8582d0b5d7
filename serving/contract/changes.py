"""What was written, as a program that follows along reads it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from serving.contract.answers import Answer, Instant


class Change(Answer):
    """One write."""

    seq: int = Field(ge=1, description="Its place in the order of all writes")
    at: Instant
    kind: Literal["outcome", "event", "decision", "list"]
    ref: str = Field(description="The inspection, list or decision; of events their table")
    dealers: list[str] = Field(description="Those of the caller's area")


class Changes(Answer):
    """Writes in their order."""

    changes: list[Change]
    next: int = Field(ge=0, description="Give it as `since` to read on")


class ListSummary(Answer):
    """What identifies an issued list."""

    list_id: str
    issued_at: Instant
    owner: str
    office: str = Field(
        default="", description="Whose list of the week it is; empty when a person asked for it"
    )
    area: str
    as_of: str = Field(json_schema_extra={"format": "date"})
    n_rows: int
    n_decided: int = Field(
        description="Dealers decided about, or visited as was told after the list was issued"
    )


class ListSummaries(Answer):
    """The newest issued lists that the caller may read, the newest first."""

    lists: list[ListSummary]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` to read on; null at the end"
    )
