"""What was written, in the order of its keeping, for programs that follow along."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query
from pydantic_core import to_json
from starlette.responses import Response

from serving.access.audit import subjects
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.changes import Changes
from serving.store import journal
from serving.store.tables import LISTS

router = APIRouter(prefix="/v1", tags=["changes"])
_MOST: Final = 1_000
_SHOWN: Final = ("outcome", "event", "decision", "list")


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
    """Return outcomes, events, decisions and own lists that touch the caller's area, in order.

    Ask again with `since` set to `next`. No number is skipped or comes late.
    """
    purpose = caller.purpose()
    answer = await asyncio.to_thread(_read, caller, since, limit)
    dealers = {dealer for one in answer["changes"] for dealer in one["dealers"]}
    await caller.record(subjects(dealers), purpose=purpose)
    return json_answer(to_json(answer))


def _read(caller: Caller, since: int, limit: int) -> dict[str, Any]:
    store, scope = caller.runtime.store, caller.scope
    found = journal.since(store, since, at_most=limit)
    listed = [one.ref for one in found if one.kind == "list"]
    query = sa.select(LISTS.c.list_id).where(
        LISTS.c.list_id.in_(listed), LISTS.c.owner == caller.principal.name
    )
    with store.read() as connection:
        own = set(connection.scalars(query)) if listed else set()
    out = []
    for one in found:
        # A dealer outside the area, or held from the caller, is not there; nor what is only its.
        dealers = [dealer for dealer in one.dealers if scope.row(dealer) is not None]
        is_shown = one.kind in _SHOWN and (one.kind != "list" or one.ref in own)
        # How many rows of a table came would count those of dealers that are not shown.
        ref = one.ref.split(":")[0] if one.kind == "event" else one.ref
        if dealers and is_shown:
            out.append(
                {"seq": one.seq, "at": one.at, "kind": one.kind, "ref": ref, "dealers": dealers}
            )
    return {"changes": out, "next": found[-1].seq if found else since}
