"""What was written, in the order of its keeping, for programs that follow along."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic_core import to_json
from starlette.responses import Response

from serving.access.audit.writer import subjects
from serving.api.callers import Caller, allow, json_answer, responses
from serving.changes.visible_changes import page_of
from serving.contract.changes import Changes

router = APIRouter(prefix="/v1", tags=["changes"])
_MOST: Final = 1_000


@router.get(
    "/changes",
    response_model=Changes,
    responses=responses(),
    summary="What was written since a number",
)
async def changes(
    caller: Annotated[Caller, Depends(allow("changes"))],
    since: Annotated[int, Query(ge=0, le=2**53, description="`next` of the last answer")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 500,
) -> Response:
    """Return outcomes, events and decisions of the caller's area, and lists it may read, in order.

    Ask again with `since` set to `next`. Nothing comes late or twice; the numbers have gaps of
    their own.
    """
    purpose = caller.purpose()
    found, following = await asyncio.to_thread(
        page_of, caller.runtime, caller.principal, since=since, limit=limit
    )
    dealers = {dealer for one in found for dealer in one["dealers"]}
    await caller.record(subjects(dealers), purpose=purpose)
    return json_answer(to_json({"changes": found, "next": following}))
