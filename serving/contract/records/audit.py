"""The audit as an auditor reads it, key by key."""

from __future__ import annotations

from typing import TypedDict


class AuditRecord(TypedDict):
    """One access or write."""

    seq: int
    at: str
    who: str
    role: str
    purpose: str
    action: str
    subject: str
    bundle: str
    scored: str
    list_id: str
    digest: str


class AuditDocument(TypedDict):
    """Records in their order, and the number to read on from."""

    records: list[AuditRecord]
    next_since: int | None
