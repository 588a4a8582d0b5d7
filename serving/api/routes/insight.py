"""What stands beside the ranking: flows, completeness, repeats, staffing, releases, measures."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic_core import to_json
from starlette.responses import Response

from features.insight.flows.exports import content_for
from features.insight.measures.comparison import RULE
from features.insight.measures.writing import to_csv, to_html
from features.insight.repeats import to_csv as repeats_csv
from serving import clock
from serving.access.audit.writer import subjects
from serving.access.roles import check_purpose
from serving.api.callers import Caller, allow, json_answer, responses
from serving.contract.insight import (
    CompletenessAnswer,
    FlowAnswer,
    MeasuresAnswer,
    RepeatsAnswer,
    StaffingAnswer,
)
from serving.contract.plain_values import Day
from serving.errors import NotReadyError
from serving.insight.flows import completeness_for, flow_for, subject_for, told_of
from serving.insight.measures import measures_for
from serving.insight.sharing import as_zip, share_for
from serving.insight.supervision import repeats_for, staffing_for, what_if
from serving.statements import disclaimers

router = APIRouter(prefix="/v1", tags=["insight"])
_PATIENCE: Final = 0.9  # of the time limit, after which it is said that the work goes on
_MEDIA: Final = {
    "csv": "text/csv; charset=utf-8", "corridors.csv": "text/csv; charset=utf-8",
    "graphml": "application/xml", "svg": "image/svg+xml",
    "geojson": "application/geo+json", "map.svg": "image/svg+xml",
}  # fmt: skip


@router.get(
    "/flows",
    response_model=FlowAnswer,
    responses=responses(404),
    summary="Where firearms went from or to a dealer, port, state or county",
)
async def read_flow(
    caller: Annotated[Caller, Depends(allow("flows"))],
    subject: Annotated[
        str, Query(min_length=2, max_length=40, description="Dealer, port, state, county, or US")
    ] = "US",
    years: Annotated[int, Query(ge=1, le=25)] = 5,
    form: Annotated[
        Literal["json", "csv", "corridors.csv", "graphml", "geojson", "svg", "map.svg"],
        Query(alias="format", description="How the answer is written"),
    ] = "json",
) -> Response:
    """Follow the guns: links with evidence and status, corridors with excess, hubs, clusters.

    Dealers outside the caller's area stand in no hub, cluster or pattern. A link to an earlier
    owner or seller implies no wrong.
    """
    purpose = check_purpose(caller.action, caller.purpose() or None, "restricted")
    scope = caller.scope
    wanted = subject_for(subject, scope)
    home = caller.runtime.settings.home
    flow = await caller.heavy(partial(flow_for, wanted, scope, home, years=years))
    await caller.record(told_of(flow), purpose=purpose)
    if form != "json":
        content = await caller.heavy(content_for, flow, f"flow.{form}")
        return Response(content, media_type=_MEDIA[form])
    snapshot = scope.view.snapshot
    answer = asdict(flow) | {
        "basis": snapshot.basis,
        "subject": wanted.code,
        "kind": wanted.kind,
        "label": wanted.label,
        "first": flow.first.isoformat(),
        "as_of": flow.as_of.isoformat(),
        "disclaimers": disclaimers("restricted"),
    }
    return json_answer(to_json(answer))


@router.get(
    "/completeness",
    response_model=CompletenessAnswer,
    responses=responses(),
    summary="Who submits traces from Mexico",
)
async def read_completeness(
    caller: Annotated[Caller, Depends(allow("completeness"))],
) -> Response:
    """Return requests, coverage with ranges, and where training would add most traces."""
    scope = caller.scope
    found = await caller.heavy(completeness_for, scope, caller.runtime.settings.home)
    await caller.record("completeness")
    snapshot = scope.view.snapshot
    answer = asdict(found) | {
        "basis": snapshot.basis,
        "as_of": found.as_of.isoformat(),
        "disclaimers": disclaimers("restricted"),
    }
    return json_answer(to_json(answer))


@router.get(
    "/repeats",
    response_model=RepeatsAnswer,
    responses=responses(),
    summary="Dealers cited again after a warning, and softened outcomes",
)
async def read_repeats(
    caller: Annotated[Caller, Depends(allow("repeats"))],
    years: Annotated[int, Query(ge=1, le=25)] = 5,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """Return who was cited again after a warning, or ended softer than recommended.

    Dealers of the caller's area alone, in the rows and in the sums by office.
    """
    purpose = check_purpose(caller.action, caller.purpose() or None, "restricted")
    home = caller.runtime.settings.home
    store = caller.runtime.store
    found = await caller.heavy(partial(repeats_for, caller.scope, home, store, years=years))
    told = subjects(one.dealer for one in found.violators)
    await caller.record(f"repeats {told}", purpose=purpose)
    if form == "csv":
        return Response(repeats_csv(found), media_type=_MEDIA["csv"])
    answer = found.as_dict() | {
        "basis": caller.scope.view.snapshot.basis,
        "as_of": found.as_of.isoformat(),
        "disclaimers": disclaimers("restricted"),
    }
    return json_answer(to_json(answer))


@router.get(
    "/staffing",
    response_model=StaffingAnswer,
    responses=responses(),
    summary="What another number of investigators would do",
)
async def read_staffing(
    caller: Annotated[Caller, Depends(allow("staffing"))],
    investigators: Annotated[
        list[Annotated[str, Query(min_length=3, max_length=120)]] | None,
        Query(max_length=200, description="OFFICE=N, once an office; the others as on record"),
    ] = None,
    hours: Annotated[
        float | None, Query(gt=0, le=8784, description="Hours of an investigator at visits a year")
    ] = None,
    border_share: Annotated[
        float | None, Query(ge=0, le=1, description="Share of all hours in the border states")
    ] = None,
) -> Response:
    """Return visits, years to full coverage and severe findings, and what one more would add.

    Sums by office and area; a dealer on hold is in none of them.
    """
    ask = what_if(investigators or (), hours, border_share)
    home = caller.runtime.settings.home
    found = await caller.heavy(staffing_for, caller.scope, home, ask)
    await caller.record("staffing")
    answer = found.as_dict() | {
        "basis": caller.scope.view.snapshot.basis,
        "disclaimers": disclaimers("restricted"),
    }
    return json_answer(to_json(answer))


@router.get(
    "/shares/{partner}",
    response_class=Response,
    responses={
        **responses(404, 409),
        200: {"content": {"application/zip": {}}, "description": "Tables and manifest"},
    },
    summary="The newest release for a partner",
)
async def read_share(
    partner: Annotated[str, Path(pattern=r"^[a-z]{2,16}$", description="hsi, cbp, state, ...")],
    caller: Annotated[Caller, Depends(allow("shares"))],
    released_on: Annotated[
        Day | None, Query(description="A day of the release calendar; by default the newest")
    ] = None,
    agreement: Annotated[
        str, Query(max_length=120, description="Which agreement, where several are in force")
    ] = "",
) -> Response:
    """Return aggregates under the release rules, as a zip of tables with their manifest.

    No row is about one dealer; hidden cells cannot be worked out from what is shown. A quarter is
    worked out once; until it is, the answer is 503, and the work goes on.
    """
    settings = caller.runtime.settings
    today = clock.today()
    work = partial(
        share_for, caller.principal, partner, settings.home,
        released_on=released_on, today=today, agreement=agreement,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE * settings.heavy_seconds):
            made = await caller.heavy(work, goes_on=True)
    except TimeoutError:
        raise NotReadyError(
            "The quarter is being worked out.", fix="ask again in a few minutes"
        ) from None
    await caller.record(made.partner.subject(made.quarter), purpose="statistics")
    name = f"share-{partner}-{made.quarter}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(as_zip(made), media_type="application/zip", headers=headers)


@router.get(
    "/measures",
    response_model=MeasuresAnswer,
    responses={
        **responses(404),
        200: {"content": {m: {"schema": {"type": "string"}} for m in ("text/csv", "text/html")}},
    },
    summary="Performance measures of a year",
)
async def read_measures(
    caller: Annotated[Caller, Depends(allow("measures"))],
    year: Annotated[
        int | None, Query(ge=2000, le=2100, description="By default the last full year")
    ] = None,
    form: Annotated[Literal["json", "csv", "html"], Query(alias="format")] = "json",
) -> Response:
    """Return value, interval, trend, target and whether it was met, or why it cannot be said.

    A past year is frozen the first time it is asked for a month or more after its end, by
    another than a partner. The role `partner` gets the public variant, in which small counts are
    not shown, of years that are released, and of each the same from its first answer on.
    """
    report = await asyncio.to_thread(
        measures_for,
        caller.runtime.settings.home,
        caller.runtime.store,
        caller.principal.role,
        year,
    )
    await caller.record(f"measures {report.period}")
    if form != "json":
        writer, media = (to_csv, "text/csv") if form == "csv" else (to_html, "text/html")
        return Response(writer(report), media_type=f"{media}; charset=utf-8")
    return json_answer(
        to_json(asdict(report) | {"rule": RULE, "disclaimers": disclaimers("restricted")})
    )
