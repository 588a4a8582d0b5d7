"""The audit as an auditor reads it, key by key."""

from __future__ import annotations

from typing import TypedDict

from serving.access.audit.reading import ReadRecord


class AuditDocument(TypedDict):
    """Records in their order, and the number to read on from."""

    records: list[ReadRecord]
    next_since: int | None
