"""The audit on the wire."""

from __future__ import annotations

from pydantic import Field

from serving.contract.answers import Answer, Instant


class AuditRecord(Answer):
    """One access or write."""

    seq: int
    at: Instant
    who: str
    role: str
    purpose: str
    action: str
    subject: str
    bundle: str
    scored: str
    list_id: str
    digest: str
    is_change: bool = Field(description="Whether it changed something, or looked at it")


class AuditPage(Answer):
    """Records in their order."""

    records: list[AuditRecord]
    next_since: int | None = Field(description="Ask for it with ?since=; null on the last page")
