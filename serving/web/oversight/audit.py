"""The auditor's page: who looked at what and who changed what, the newest first."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from features.domain.agency_day import begin_of, zone_in_words
from serving.access.audit.reading import ACTIONS, DEEDS, Sought
from serving.api.callers import Caller
from serving.api.routes.audit import records_for
from serving.contract.answers import NO_NUL
from serving.web.rendering import page
from serving.web.sign_in.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_MOST: Final = 200
_DAYS: Final = ("from_day", "to_day")


@router.get("/audit")
async def index(
    request: Request,
    caller: Annotated[Caller, Depends(may("audit"))],
    who: Annotated[str, Query(max_length=300, pattern=NO_NUL)] = "",
    action: Annotated[str, Query(max_length=40)] = "",
    deed: Annotated[str, Query(max_length=10)] = "",
    from_day: Annotated[str, Query(max_length=40)] = "",
    to_day: Annotated[str, Query(max_length=40)] = "",
    before: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> Response:
    """Show the records asked for; a term that cannot be read is said at its field."""
    asked = {"who": who.strip(), "action": action, "deed": deed, "from_day": from_day.strip(),
             "to_day": to_day.strip()}  # fmt: skip
    sought, wrong = _read(asked)
    found = None
    if not wrong:
        found = await asyncio.to_thread(records_for, caller, sought, limit=_MOST, before=before)
    await caller.record("newest records")
    given = {name: value for name, value in asked.items() if value}
    older = "" if found is None or found["next_since"] is None else f"before={found['next_since']}"
    return page(
        request, "audit.html", title="Audit", active="audit", me=caller.principal,
        status=422 if wrong else 200, records=found["records"] if found else [], asked=asked,
        zone=zone_in_words(),
        wrong=wrong, actions=ACTIONS, is_older=bool(before), is_filtered=bool(given),
        newest=urlencode(given), older=older and "&".join(filter(None, [urlencode(given), older])),
    )  # fmt: skip


def _read(asked: dict[str, str]) -> tuple[Sought, dict[str, str]]:
    """Return what is asked for, and what is wrong at which field."""
    wrong: dict[str, str] = {}
    days: dict[str, date | None] = dict.fromkeys(_DAYS)
    for name in _DAYS:
        try:
            days[name] = date.fromisoformat(asked[name]) if asked[name] else None
        except ValueError:
            wrong[name] = "Enter a day such as 2026-03-09"
    first, last = days["from_day"], days["to_day"]
    if first is not None and last is not None and last < first:
        wrong["to_day"] = "Enter a last day that is not before the first"
    if asked["action"] and asked["action"] not in ACTIONS:
        wrong["action"] = "Choose one of the actions offered"
    if asked["deed"] and asked["deed"] not in DEEDS:
        wrong["deed"] = "Choose looked at, changed, or both"
    since = "" if first is None else begin_of(first)
    until = "" if last in (None, date.max) else begin_of(last + timedelta(days=1))
    return Sought(asked["who"], asked["action"], asked["deed"], since, until), wrong
