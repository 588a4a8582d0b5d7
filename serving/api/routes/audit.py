"""The audit as an auditor reads it: every access and every write, no score."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query
from pydantic_core import to_json
from starlette.responses import Response

from serving.access.audit.hash_chain import AuditRecord
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.answers import NO_NUL
from serving.contract.audit import AuditPage
from serving.contract.records.audit import AuditDocument
from serving.field.events import dealer_key
from serving.store.rows import picked
from serving.store.tables import AUDIT

_LONGEST_KEY: Final = len("1-23-45678")
router = APIRouter(prefix="/v1", tags=["audit"])


@router.get(
    "/audit",
    response_model=AuditPage,
    responses=responses(),
    summary="Who looked at what, and who changed what",
)
async def read_audit(
    caller: Annotated[Caller, Depends(allow("audit"))],
    since: Annotated[int, Query(ge=0, le=2**62, description="Records after this one")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    who: Annotated[str, Query(max_length=300, pattern=NO_NUL)] = "",
) -> Response:
    """Return records in their order, with a cursor for the next page."""
    answer = await asyncio.to_thread(records_for, caller, since=since, limit=limit, who=who)
    await caller.record(f"records after {since}")
    return json_answer(to_json(answer))


def records_for(
    caller: Caller, *, since: int, limit: int, who: str = "", newest: bool = False
) -> AuditDocument:
    """Return a page of records; what is held from the auditor is named in none."""
    order = AUDIT.c.seq.desc() if newest else AUDIT.c.seq
    query = (
        sa.select(*(AUDIT.c[name] for name in AuditRecord.__annotations__))
        .where(AUDIT.c.seq > since)
        .order_by(order)
    )
    if who:
        query = query.where(AUDIT.c.who == who)
    with caller.runtime.store.read() as connection:
        rows = [picked(AuditRecord, row._mapping) for row in connection.execute(query.limit(limit))]
    hidden = caller.scope.hidden
    for row in rows:
        kept = [part for part in str(row["subject"]).split(" ") if not _names(part, hidden)]
        row["subject"] = " ".join(kept)
    is_last = len(rows) < limit
    return {"records": rows, "next_since": None if is_last or not rows else rows[-1]["seq"]}


def _names(part: str, hidden: frozenset[str]) -> bool:
    """Whether a word of a subject names one of some dealers, by key or by license number."""
    if len(part) <= _LONGEST_KEY or not part[0].isdigit():
        return part in hidden
    return bool(hidden) and dealer_key(part) in hidden
