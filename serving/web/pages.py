"""The pages, as one router: server-rendered, readable without scripts, nothing remote."""

from __future__ import annotations

from fastapi import APIRouter

from serving.web.compression import CompressedFiles
from serving.web.dealers import cases, outcomes, search
from serving.web.dealers import pages as dealers
from serving.web.lists import decisions
from serving.web.lists import pages as lists
from serving.web.lists import why_not as standing
from serving.web.maps import pages as maps
from serving.web.oversight import audit, insight, model, referrals, supervision
from serving.web.plans import kept_plans
from serving.web.plans import pages as plans
from serving.web.rendering import STATIC
from serving.web.sign_in import pages as sign_in
from serving.web.sign_in import single_sign_on

router = APIRouter(include_in_schema=False)
for part in (
    sign_in, single_sign_on, lists, decisions, maps, search, dealers, outcomes, standing, plans,
    kept_plans, insight, supervision, referrals, audit, model, cases,
):  # fmt: skip
    router.include_router(part.router)

static_files = CompressedFiles(directory=STATIC)
