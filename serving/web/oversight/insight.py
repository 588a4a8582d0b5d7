"""The pages Flows and Measures."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from features.insight.flows.corridors import MIN_COUNT
from features.insight.flows.follow import Flow
from features.insight.flows.pictures import flow_map, sankey
from features.insight.flows.places import label_of
from features.insight.measures.comparison import RULE
from features.insight.measures.writing import as_text, frozen_before, part_in_words
from serving import clock
from serving.access.roles import ACCESS, DEALER_LEVEL, check_purpose
from serving.api.callers import Caller
from serving.errors import NotReadyError
from serving.insight.flows import flow_for, subject_for, told_of
from serving.insight.measures import last_year, measures_for
from serving.insight.sharing import releases_for
from serving.scores.table.loaded_table import premises
from serving.web.atlas import flow_ground
from serving.web.oversight.flow_answers import flow_answers
from serving.web.rendering import dealer_name, page
from serving.web.sign_in.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/flows")
async def show_flows(
    request: Request,
    caller: Annotated[Caller, Depends(may("flows"))],
    subject: Annotated[str, Query(max_length=40)] = "US",
) -> Response:
    """Show where firearms went, and what each link rests on."""
    purpose = check_purpose(caller.action, caller.purpose() or None, "restricted")
    wanted = subject_for(subject.strip() or "US", caller.scope)
    home = caller.runtime.settings.home
    flow = await asyncio.to_thread(flow_for, wanted, caller.scope, home, years=5)
    await caller.record(told_of(flow), purpose=purpose)
    # What stays in its state would fill the picture; it is said in a sentence and in the table.
    moved = tuple(link for link in flow.links if link.course in {"interstate", "international"})
    drawn = replace(flow, links=moved) if moved else flow
    n_stayed = sum(link.n for link in flow.links if link.course == "intrastate")
    away = [lane for lane in flow.corridors if lane.course != "intrastate"][:25]
    return page(
        request, "flows.html", title=f"Flows: {wanted.label}", active="flows",
        me=caller.principal, flow=flow, corridors=away, label_of=label_of,
        answers=flow_answers(flow), names=_names(caller, flow), n_stayed=n_stayed,
        is_moved=bool(moved), least_traces=MIN_COUNT, sankey=Markup(sankey(drawn)),  # noqa: S704 - labels are escaped
        map=Markup(flow_map(flow, ground=flow_ground())),  # noqa: S704 - labels are escaped
    )  # fmt: skip


def _names(caller: Caller, flow: Flow) -> dict[str, str]:
    """Return the names of the dealers that a flow tells of."""
    columns = caller.scope.view.snapshot.columns
    out = {}
    for hub in (*flow.dealers, *flow.fast_dealers):
        row = caller.scope.row(hub.dealer)
        if row is not None:
            out[hub.dealer] = dealer_name(premises(columns, row))
    return out


@router.get("/measures")
async def show_measures(
    request: Request,
    caller: Annotated[Caller, Depends(may("measures"))],
    year: Annotated[int | None, Query(ge=2000, le=2100)] = None,
) -> Response:
    """Show what was aimed at, what was reached, and why not."""
    if year is None:
        year = _last_whole_year(caller)
    report = await asyncio.to_thread(
        measures_for,
        caller.runtime.settings.home,
        caller.runtime.store,
        caller.principal.role,
        year,
    )
    await caller.record(f"measures {report.period}")
    before = str(int(report.period) - 1)
    kept = await asyncio.to_thread(frozen_before, caller.runtime.settings.home, report.period)
    return page(
        request, "measures.html", title=f"Measures of {report.period}", active="measures",
        me=caller.principal, report=report, as_text=as_text, part_in_words=part_in_words, rule=RULE,
        year_before=before, has_before=before in {one.period for one in kept},
        can_see={name: _may(caller, name) for name in ("repeats", "staffing", "shares")},
    )  # fmt: skip


@router.get("/shares")
async def show_shares(
    request: Request, caller: Annotated[Caller, Depends(may("shares"))]
) -> Response:
    """Show which releases of aggregates the caller may take, and where."""
    home, reach = caller.runtime.settings.home, None
    with contextlib.suppress(NotReadyError):
        reach = caller.runtime.snapshot.records_to
    quarter, day, found = await asyncio.to_thread(
        releases_for, caller.principal, home, clock.today(), reach=reach
    )
    await caller.record("shares")
    return page(
        request, "shares.html", title="Releases", active="shares", me=caller.principal,
        quarter=quarter, day=day, partners=found,
    )  # fmt: skip


def _may(caller: Caller, action: str) -> bool:
    """Return whether the caller's role and purpose reach a page."""
    is_shut = caller.principal.purpose == "statistics" and action in DEALER_LEVEL
    return caller.principal.role in ACCESS[action] and not is_shut


def _last_whole_year(caller: Caller) -> int | None:
    """Return the last year of which the records tell all; None where no table says."""
    try:
        reach = caller.runtime.snapshot.records_to
    except NotReadyError:
        return None
    return min(reach.year - 1, last_year(caller.principal.role, clock.today()))
