"""The auditor's page: the newest records."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from serving.api.callers import Caller
from serving.api.routes.audit import records_for
from serving.web.rendering import page
from serving.web.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_MOST: int = 200


@router.get("/audit")
async def index(
    request: Request,
    caller: Annotated[Caller, Depends(may("audit"))],
    who: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """Show who looked at what and who changed what, the newest first."""
    found = await asyncio.to_thread(records_for, caller, since=0, limit=_MOST, who=who, newest=True)
    await caller.record("newest records")
    return page(
        request, "audit.html", title="Audit", active="audit", me=caller.principal,
        records=found["records"], who=who,
    )  # fmt: skip
