"""Dossiers."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic_core import to_json
from starlette.responses import Response

from serving.access.audit.writer import subjects
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.answers import DealerKey
from serving.contract.dossiers import Dossier
from serving.dealers.dossier import dossier
from serving.errors import UnknownDealerError
from serving.lists.owners import own_names
from serving.lists.summaries import lists_with

router = APIRouter(prefix="/v1", tags=["dealers"])


@router.get(
    "/dealers/{dealer}",
    response_model=Dossier,
    responses=responses(404),
    summary="All there is about one dealer",
)
async def read_dossier(
    dealer: Annotated[DealerKey, Path()], caller: Annotated[Caller, Depends(allow("dealers"))]
) -> Response:
    """Return place, scores, timeline, citations, traces as counts, and related licenses."""
    purpose = caller.purpose()
    scope = caller.scope
    row = scope.row(dealer)
    if row is None:
        raise UnknownDealerError(
            "There is no such dealer within your area.", expected="a dealer key R-DD-SSSSS"
        )
    key = str(scope.view.snapshot.columns["dealer"][row])
    runtime = caller.runtime
    owners = own_names(caller.principal)
    lists = await asyncio.to_thread(lists_with, runtime.store, key, owners=owners)
    warehouse = runtime.settings.home / "warehouse"
    answer = await asyncio.to_thread(
        dossier, scope, row, warehouse, lists=lists, store=runtime.store
    )
    beside = subjects(one["dealer"] for one in answer["related"])
    await caller.record(f"{key} {beside}".strip(), purpose=purpose)
    return json_answer(to_json(answer))
