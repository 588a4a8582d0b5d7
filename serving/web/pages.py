"""The pages, as one router: server-rendered, readable without scripts, nothing remote."""

from __future__ import annotations

from fastapi import APIRouter

from serving.web import (
    audit,
    cases,
    dealers,
    decisions,
    insight,
    kept_plans,
    lists,
    maps,
    model,
    outcomes,
    plans,
    referrals,
    sign_in,
    single_sign_on,
    standing,
    supervision,
)
from serving.web.compression import CompressedFiles
from serving.web.rendering import STATIC

router = APIRouter(include_in_schema=False)
for part in (
    sign_in, single_sign_on, lists, decisions, maps, dealers, outcomes, standing, plans, kept_plans,
    insight, supervision, referrals, audit, model, cases,
):  # fmt: skip
    router.include_router(part.router)

static_files = CompressedFiles(directory=STATIC)
