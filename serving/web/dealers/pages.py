"""The dealer page: score, reasons, records, and the form for what an inspection found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from pydantic import ValidationError
from starlette.responses import Response

from features import reference
from features.domain.asof import from_numpy
from features.insight.flows.places import label_of
from features.reference.legal.twelve_month_rule import CONSUMING_KINDS
from features.warehouse.own_rows import OwnRows
from serving import clock
from serving.access.audit.writer import subjects
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.contract.records.dealers import DossierDocument
from serving.dealers.dossier import dossier, n_related_elsewhere, related, traces_by_year
from serving.dealers.explaining import explain
from serving.dealers.field_packet import field_packet
from serving.errors import UnknownDealerError
from serving.field.outcomes.outcomes import newest_outcomes
from serving.lists.issued import document_for
from serving.lists.owners import own_names
from serving.lists.summaries import lists_with
from serving.lists.work import readable_of
from serving.planning.office import office_rows
from serving.planning.start import office_start
from serving.planning.travel import drive_hours, road_km
from serving.scores.visible_dealers import View, eligible_rows
from serving.scores.words.wording import miles
from serving.statements import INTERVALS, PEERS
from serving.store.database import Store
from serving.web import atlas, charts
from serving.web.dealers.cases import cases_for
from serving.web.dealers.timeline import KINDS, timeline
from serving.web.lists.list_rows import Ask
from serving.web.lists.pages import license_types
from serving.web.rendering import dealer_name, page
from serving.web.sign_in.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# What is said once an outcome is kept, by whether its visit is over.
_SAID: Final[Mapping[str, str]] = {
    "closed": "The outcome is kept. The visit is closed: the next training reads it.",
    "1": "The outcome is kept. Training reads it once the visit is closed: tell that day then.",
}
_K: Final = 50


@router.get("/dealers/{dealer}")
async def show(
    request: Request,
    dealer: str,
    caller: Annotated[Caller, Depends(may("dealers"))],
    list_id: Annotated[str, Query(alias="list", max_length=40, pattern="^[A-Za-z0-9-]*$")] = "",
    saved: Annotated[str, Query(max_length=10, pattern="^[a-z0-9]*$")] = "",
    back: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Show one dealer."""
    said = _SAID.get(saved, "")
    try:
        filter_of_list = Ask.model_validate(dict(parse_qsl(back))).query()
    except ValidationError:
        filter_of_list = ""
    return await _page(request, caller, dealer, list_id=list_id, saved=said, back=filter_of_list)


async def _page(
    request: Request,
    caller: Caller,
    dealer: str,
    *,
    list_id: str = "",
    saved: str = "",
    back: str = "",
) -> Response:
    purpose = caller.purpose()
    scope = caller.scope
    row = scope.row(dealer)
    if row is None:
        raise UnknownDealerError(
            "There is no such dealer within your area.", fix="search by name or number"
        )
    key = str(scope.view.snapshot.columns["dealer"][row])
    beside = subjects(one["dealer"] for one in related(scope, row))
    await caller.record(f"{key} {beside}".strip(), purpose=purpose)
    values = await asyncio.to_thread(_values, caller, row)
    asked = {list_id} if list_id else set()
    readable = await asyncio.to_thread(readable_of, caller.runtime, caller.principal, asked)
    listed = await asyncio.to_thread(_listed, caller, row, list_id) if readable else None
    return page(
        request, "dealer.html", title=f"{dealer_name(values['doc'])[:60]}", active="dealers",
        me=caller.principal,
        list_id=list_id, is_readable=bool(readable), listed=listed, saved=saved, k=_K, back=back,
        can_record=caller.principal.role in ACCESS["outcomes"],
        reads_lists=caller.principal.role in ACCESS["lists"], **values,
    )  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """Where a dealer stands on the list that one comes from."""

    position: int
    n_rows: int
    why: tuple[str, ...]
    as_of: str
    is_of_other_table: bool


def _listed(caller: Caller, row: int, list_id: str) -> Listed | None:
    """Return the dealer's place on a list, None when the caller sees none."""
    view = caller.scope.view
    document = document_for(caller.runtime, caller.principal, list_id)
    dealer = view.snapshot.columns["dealer"][row]
    found = next((one for one in document["rows"] if one["dealer"] == dealer), None)
    if found is None:
        return None
    basis, now = document["basis"], view.snapshot.basis
    return Listed(
        found["position"],
        len(document["rows"]),
        tuple(found["why"]),
        str(basis["as_of"]),
        basis["fingerprint"] != now["fingerprint"],
    )


def visits_of(document: DossierDocument, store: Store) -> list[tuple[str, str]]:
    """Return opening day and kind of each visit, the newest first.

    What was told last of an inspection stands for it, before what the records say.
    """
    told = {one.inspection_id: one.document for one in newest_outcomes(store, [document["dealer"]])}
    visits = [(str(one["opened_on"]), str(one["kind"])) for one in told.values()]
    visits += [
        (str(entry["on"]), entry["what"].split(" ", 1)[0])
        for entry in document["timeline"]
        if entry["table"] == "inspections" and entry["record_id"] not in told
    ]
    return sorted(visits, reverse=True)


def _values(caller: Caller, row: int) -> dict[str, Any]:
    scope = caller.scope
    view, columns = scope.view, scope.view.snapshot.columns
    warehouse = caller.runtime.settings.home / "warehouse"
    dealer = str(columns["dealer"][row])
    lists = lists_with(caller.runtime.store, dealer, owners=own_names(caller.principal))
    with OwnRows(warehouse, dealer) as own:
        document = dossier(scope, row, own, lists=lists, store=caller.runtime.store)
        why = explain(scope, row, k=_K, warehouse=own)
    families, scale = charts.families(why)
    same = view.is_visible & (columns["license_type"] == columns["license_type"][row])
    priorities = columns["priority"].astype(np.float64)
    counties = reference.counties()
    county = str(columns["county"][row])
    name = str(counties.loc[county, "county_name"]) if county in counties.index else county
    entries = sorted(document["timeline"], key=lambda entry: str(entry["on"]), reverse=True)
    arranged = timeline(entries)
    visits = visits_of(document, caller.runtime.store)
    return {
        "doc": document,
        "why": why,
        "behind": {one["signal"]: one["records"] for one in why["contributions"]},
        "barring": next(((kind, on) for on, kind in visits if kind in CONSUMING_KINDS), None),
        "last_visit": visits[0] if visits else None,
        "last_counted": _last_counted(view, row),
        "families": families,
        "scale": scale,
        "percent_below": view.percent_below(row),
        "n_related_elsewhere": n_related_elsewhere(scope, row),
        "peers_note": PEERS,
        "intervals_note": INTERVALS,
        "peers": charts.peers(priorities[same], float(priorities[row])),
        "shown_records": {entry["record_id"] for entry in arranged.in_sight},
        "timeline": arranged,
        "soon": _soon(document["traces"]["by_time_to_crime"]),
        "recovered": _recovered(document["traces"]["by_recovery"]),
        "cases": cases_for(why["contributions"]),
        "kinds": KINDS,
        "start": why["base"],
        "total": float(columns["priority"][row]),
        "type_text": dict(license_types()).get(document["license_type"], "other license"),
        "county_name": name or "not known",
        "n_in_office": int((view.is_visible & (columns["office"] == columns["office"][row])).sum()),
        "n_barred_above": _n_barred_above(view, row),
        "is_past": (day := view.eligible_on(row)) is not None and day <= clock.today(),
        "has_insufficient_history": bool(columns["is_insufficient_history"][row]),
        "place": _place(view, row),
    }


def _last_counted(view: View, row: int) -> tuple[str, str, str] | None:
    """Return day, kind and outcome of the last compliance or recall inspection, as lists have it.

    The kind is empty where the scored table does not tell.
    """
    columns = view.snapshot.columns
    on = from_numpy(columns["last_inspected_on"][row])
    if on is None:
        return None
    return on.isoformat(), str(columns["last_kind"][row]), str(columns["last_outcome"][row])


def _n_barred_above(view: View, row: int) -> int:
    """Return how many of the office rank above a dealer and could not be visited."""
    columns = view.snapshot.columns
    above = view.is_visible & (columns["office"] == columns["office"][row])
    above &= view.office_rank < view.office_rank[row]
    return int((above & ~eligible_rows(view)).sum())


# From soonest to latest, as a page says it.
_SOON: Final[Mapping[str, str]] = {
    "up to 90 days": "up to 90 days", "up to 1 year": "91 days to 1 year",
    "up to 3 years": "over 1 to 3 years", "over 3 years": "over 3 years", "not known": "not known",
}  # fmt: skip
_MOST_PLACES: Final = 8


def _soon(by: Mapping[str, int]) -> dict[str, int]:
    return {said: by[name] for name, said in _SOON.items() if name in by}


def _recovered(by: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Return places of recovery in words: those with most, and the others."""
    named = [(label_of(place), n) for place, n in by.items()]
    return dict(named[:_MOST_PLACES]), dict(named[_MOST_PLACES:])


@router.get("/dealers/{dealer}/packet.pdf")
async def packet(
    request: Request, dealer: str, caller: Annotated[Caller, Depends(may("dealers"))]
) -> Response:
    """Return two pages to take along to a dealer."""
    purpose = caller.purpose()
    row = caller.scope.row(dealer)
    if row is None:
        raise UnknownDealerError(
            "There is no such dealer within your area.", fix="search by name or number"
        )
    key = str(caller.scope.view.snapshot.columns["dealer"][row])
    await caller.record(f"packet {key}", purpose=purpose)
    content = await caller.heavy(_packet, caller, row)
    headers = {"Content-Disposition": f'attachment; filename="{key}.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)


def _packet(caller: Caller, row: int) -> bytes:
    scope, store = caller.scope, caller.runtime.store
    view, columns = scope.view, scope.view.snapshot.columns
    warehouse = caller.runtime.settings.home / "warehouse"
    with OwnRows(warehouse, str(columns["dealer"][row])) as own:
        document = dossier(scope, row, own, lists=[], store=store)
        traces = traces_by_year(own, own.dealer, view.snapshot.as_of)
    rows = office_rows(view, scope.own, document["office"])
    place = float(columns["latitude"][row]), float(columns["longitude"][row])
    way = ""
    if np.isfinite(place).all():
        home = caller.runtime.settings.home
        start = office_start(view, rows, document["office"], home=home)
        km = float(
            road_km(
                np.array([start.latitude]), np.array([start.longitude]), to_latitude=place[0],
                to_longitude=place[1],
            )[0]
        )  # fmt: skip
        hours = drive_hours(km)
        way = (
            f"{miles(km)} by road, about {hours:.1f} hours (estimated from the straight line), from"
            f" {start.words}."
        )
    return field_packet(
        document,
        name=dealer_name(document),
        picture=_picture(view, row),
        way=way,
        traces=traces,
    )


def _picture(view: View, row: int) -> str:
    """Draw where a dealer is, with its colors in the drawing: paper has no style sheet."""
    columns = view.snapshot.columns
    xy = atlas.project(columns["latitude"][row], columns["longitude"][row])
    if not np.isfinite(xy).all():
        return ""
    (x, y), width = xy[0], 480.0
    box = (x - width / 2, y - width / 2, width, width)
    shapes, states = atlas.shapes("counties"), atlas.shapes("states")
    counties = "".join(f'<path d="{shapes.paths[c]}"/>' for c in shapes.within(box))
    borders = "".join(f'<path d="{states.paths[c]}"/>' for c in states.within(box))
    where = " ".join(f"{part:.0f}" for part in box)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{where}">'
        f'<g fill="#f8fafb" stroke="#8895a3" stroke-width="1">{counties}</g>'
        f'<g fill="none" stroke="#44515f" stroke-width="2">{borders}</g>'
        f'<path fill="none" stroke="#0a6b62" stroke-width="4" d="{atlas.border_path(box)}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="#7f2a0d"/></svg>'
    )


def _place(view: View, row: int) -> Markup | None:
    """Draw where a dealer is: its county and neighbors, as a picture without words."""
    columns = view.snapshot.columns
    xy = atlas.project(columns["latitude"][row], columns["longitude"][row])
    if not np.isfinite(xy).all():
        return None
    (x, y), width = xy[0], 640.0
    box = (x - width / 2, y - width * 0.31, width, width * 0.62)
    shapes, states = atlas.shapes("counties"), atlas.shapes("states")
    counties = "".join(f'<path class="county" d="{shapes.paths[c]}"/>' for c in shapes.within(box))
    borders = "".join(f'<path class="state" d="{states.paths[c]}"/>' for c in states.within(box))
    where = " ".join(f"{part:.0f}" for part in box)
    return Markup(  # noqa: S704 - numbers and paths of our own only
        f'<div class="map"><svg class="canvas" viewBox="{where}" role="img"'
        f' aria-label="Map of the county and its neighbors with the dealer in the middle">'
        f'{counties}{borders}<path class="border" d="{atlas.border_path(box)}"/>'
        f'<circle class="dot q5" cx="{x:.1f}" cy="{y:.1f}" r="9"/></svg></div>'
    )
