"""The pages, as one router: server-rendered, readable without scripts, nothing remote."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.staticfiles import StaticFiles

from serving.web import (
    dealers,
    insight,
    kept_plans,
    lists,
    maps,
    model,
    plans,
    sign_in,
    single_sign_on,
)
from serving.web.rendering import STATIC

router = APIRouter(include_in_schema=False)
for part in (sign_in, single_sign_on, lists, maps, dealers, plans, kept_plans, insight, model):
    router.include_router(part.router)

static_files = StaticFiles(directory=STATIC)
