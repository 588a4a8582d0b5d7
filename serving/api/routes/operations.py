"""Liveness, readiness, metrics and the OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from features.openjson import Json
from serving import metrics
from serving.api.problems import MEDIA_TYPE, Problem, problem
from serving.runtime import Runtime

router = APIRouter(tags=["operations"])


@router.get("/livez", include_in_schema=False)
@router.get("/healthz", response_class=PlainTextResponse, summary="Is the process alive?")
async def healthz() -> Response:
    """Answer while the process runs."""
    return PlainTextResponse("ok\n")


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    summary="Are bundle, table and store there?",
    responses={503: {"model": Problem, "description": "Not yet", "content": {MEDIA_TYPE: {}}}},
)
async def readyz(request: Request) -> Response:
    """Answer 200 when requests can be served."""
    runtime: Runtime = request.app.state.runtime
    troubles = await run_in_threadpool(lambda: runtime.troubles)
    if not troubles:
        return PlainTextResponse("ready\n")
    return problem(503, "not_ready", f"Not ready: {'; '.join(troubles)}.")


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
async def prometheus(request: Request) -> Response:
    """Return counters and histograms by route template; nothing in them is about a dealer."""
    content, media_type = await run_in_threadpool(metrics.exposition)
    return Response(content, media_type=media_type)


@router.get("/docs.json", summary="This document")
async def docs(request: Request) -> Json:
    """Return the OpenAPI document."""
    document: dict[str, Any] = request.app.openapi()
    return document
