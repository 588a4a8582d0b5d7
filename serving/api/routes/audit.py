"""The audit as an auditor reads it: every access and every write, no score."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic_core import to_json
from starlette.responses import Response

from features.domain.license_number import dealer_key
from serving.access.audit.reading import Deed, Sought, audit_page
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.answers import NO_NUL
from serving.contract.audit import AuditPage
from serving.contract.plain_values import Day
from serving.contract.records.audit import AuditDocument

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
    action: Annotated[str, Query(pattern="^[a-z_]{0,40}$", description="Such as `lists`")] = "",
    deed: Annotated[Deed | None, Query(description="`look` or `change`; all by default")] = None,
    from_day: Annotated[Day | None, Query(description="In UTC")] = None,
    to_day: Annotated[Day | None, Query(description="In UTC, included")] = None,
) -> Response:
    """Return records in their order, with a cursor for the next page."""
    since_day = "" if from_day is None else from_day.isoformat()
    until = "" if to_day in (None, date.max) else (to_day + timedelta(days=1)).isoformat()
    sought = Sought(who, action, deed or "", since_day, until)
    answer = await asyncio.to_thread(records_for, caller, sought, after=since, limit=limit)
    await caller.record(f"records after {since}")
    return json_answer(to_json(answer))


def records_for(
    caller: Caller, sought: Sought, *, limit: int, after: int = 0, before: int | None = None
) -> AuditDocument:
    """Return a page of records; what is held from the auditor is named in none.

    The oldest after a number first, or, with `before`, the newest before one; 0 for all.
    """
    rows, has_more = audit_page(
        caller.runtime.store, sought, limit=limit, after=after, before=before
    )
    hidden = caller.scope.hidden
    for row in rows:
        kept = [part for part in str(row["subject"]).split(" ") if not _names(part, hidden)]
        row["subject"] = " ".join(kept)
    return {"records": rows, "next_since": rows[-1]["seq"] if has_more else None}


def _names(part: str, hidden: frozenset[str]) -> bool:
    """Whether a word of a subject names one of some dealers, by key or by license number."""
    if len(part) <= _LONGEST_KEY or not part[0].isdigit():
        return part in hidden
    return bool(hidden) and dealer_key(part) in hidden
