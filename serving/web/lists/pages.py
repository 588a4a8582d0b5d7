"""The list pages: issue a list, read it, filter it, decide about its dealers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from features.domain.agency_day import day_of
from features.errors import FflRiskError
from serving import clock
from serving.access.audit.writer import subjects
from serving.access.people import inspectors_of
from serving.access.roles import ACCESS, NEEDS_OFFICE, OVERSEES
from serving.api.callers import Caller
from serving.contract.answers import RankRequest
from serving.contract.field.decisions import OVERRIDE_WORDS
from serving.contract.records.lists import ListDocument
from serving.errors import InvalidRequestError, UnknownListError
from serving.lists.files.list_files import shortfall
from serving.lists.files.passed_over import PassedOver, passed_over
from serving.lists.issued import document_for, issue
from serving.lists.scheduled import newest_of_week
from serving.lists.since import decided_elsewhere, told_since
from serving.lists.summaries import decisions_of, lists_of_others, summaries
from serving.lists.work import assignments_of, views_of
from serving.scores.visible_dealers import View
from serving.statements import PEERS
from serving.store.database import instant
from serving.web.lists.list_change import change_in_words
from serving.web.lists.list_rows import (
    DONE,
    SORTS,
    Ask,
    choices,
    filtered,
    parts_of,
)
from serving.web.once import FIELD as ONCE
from serving.web.once import Once
from serving.web.rendering import page
from serving.web.sealed import MOST, error_of, refuse, told_error, told_of
from serving.web.sign_in.visitor import PageRoute, checked_form, may, text

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PER_PAGE: Final = 25
MOST_ON_A_PAGE: Final = 400  # with reasons some 90 KB compressed: a page stays below 100
_DEFAULT_K: Final = 50
_MOST_OTHERS: Final = 5
_BLANK: Final[Mapping[str, Any]] = {
    "k": _DEFAULT_K, "n_coverage": 0, "office": "", "state": "", "license_type": "", "box": "",
    "county": "", "random_share": f"{RankRequest.model_fields['random_share'].default:.2f}",
}  # fmt: skip


@router.get("/lists")
async def index(
    request: Request,
    caller: Annotated[Caller, Depends(may("lists"))],
    box: Annotated[str, Query(max_length=80)] = "",
    county: Annotated[str, Query(pattern=r"^(\d{5})?$")] = "",
    state: Annotated[str, Query(pattern=r"^([A-Z]{2})?$")] = "",
    license_type: Annotated[str, Query(pattern=r"^(\d{2})?$")] = "",
    refused: Annotated[str, Query(max_length=2 * MOST)] = "",
) -> Response:
    """Show the issued lists and the form for a new one, or one that was refused."""
    told = told_of(refused, caller.principal, "a new list")
    area = {"box": box, "county": county, "state": state, "license_type": license_type}
    error = None if told is None else error_of(told)
    return await asyncio.to_thread(_index, request, caller, told or area, error)


def _index(
    request: Request, caller: Caller, form: Mapping[str, Any], error: FflRiskError | None
) -> Response:
    caller.purpose()
    can_issue = caller.principal.role in ACCESS["rank"]
    columns = caller.scope.view.snapshot.columns
    own = caller.scope.own
    types = license_types()
    found = summaries(caller.runtime, caller.principal)
    weekly = newest_of_week(found, clock.today())
    return page(
        request, "lists.html", title="Lists", active="lists", me=caller.principal,
        weekly=weekly,
        status=200 if error is None else int(getattr(error, "status", 422)),
        lists=[one for one in found if one not in weekly],
        others=lists_of_others(caller.runtime, caller.principal)[:_MOST_OTHERS]
        if caller.principal.role in NEEDS_OFFICE
        else [],
        can_issue=can_issue, is_field=caller.principal.role in ACCESS["decisions"],
        offices=sorted({str(o) for o in np.unique(columns["office"][own].astype(str)) if o}),
        states=sorted({str(s) for s in np.unique(columns["state"][own].astype(str)) if s}),
        license_types=types,
        form={**_BLANK, **form},
        error=error,
    )  # fmt: skip


def license_types() -> list[tuple[str, str]]:
    """Return code and short text of each business license type."""
    return [
        ("01", "dealer or gunsmith"),
        ("02", "pawnbroker"),
        ("06", "ammunition maker"),
        ("07", "firearms maker"),
        ("08", "importer"),
        ("09", "dealer, destructive devices"),
        ("10", "maker, destructive devices"),
        ("11", "importer, destructive devices"),
    ]


@router.post("/lists")
async def issue_list(request: Request, caller: Annotated[Caller, Depends(may("rank"))]) -> Response:
    """Issue a list and show it."""
    form = await checked_form(request, caller.principal)
    fields = {name: text(form, name) for name in form}
    sent = Once.of(caller, form)
    try:
        asked = rank_request(fields, caller.purpose())
        list_id = await sent.known() or await sent.keep(
            lambda: issue(caller.runtime, caller.principal, asked)["list_id"]
        )
    except FflRiskError as error:
        kept = {name: value for name, value in fields.items() if name not in {"csrf", ONCE}}
        return await refuse(
            caller.principal, "/lists", kept | told_error(error), about="a new list",
            show=partial(asyncio.to_thread, _index, request, caller, fields, error),
        )  # fmt: skip
    return RedirectResponse(f"/lists/{list_id}", status_code=303)


def rank_request(fields: Mapping[str, str], purpose: str) -> RankRequest:
    """Return what a form asks for.

    Raises
    ------
    InvalidRequestError
        When it holds something unusable.
    """
    area: dict[str, Any] = {
        name: fields[name] for name in ("office", "state", "county") if fields.get(name)
    }
    try:
        if fields.get("box"):
            area["box"] = tuple(float(part) for part in fields["box"].split(","))
        return RankRequest.model_validate(
            {
                "area": area,
                "k": fields.get("k") or _DEFAULT_K,
                "n_coverage": fields.get("n_coverage") or 0,
                "random_share": fields.get("random_share")
                or RankRequest.model_fields["random_share"].default,
                "license_types": [fields["license_type"]] if fields.get("license_type") else [],
                "manual": _by_hand(fields),
                "purpose": purpose or None,
            }
        )
    except (ValidationError, ValueError):
        raise InvalidRequestError(
            "The form holds something unusable.",
            expected="1 to 5,000 dealers, a share from 0 to 1, an area of yours",
        ) from None


def _by_hand(fields: Mapping[str, str]) -> list[dict[str, str | None]]:
    """Return the dealer that a form puts on the list by hand, with its basis."""
    if not fields.get("manual_dealer"):
        return []
    basis = fields.get("legal_basis") or None
    reason = fields.get("manual_reason", "")
    return [{"dealer": fields["manual_dealer"], "reason": reason, "legal_basis": basis}]


@router.get("/lists/{list_id}")
async def show(
    request: Request,
    list_id: str,
    caller: Annotated[Caller, Depends(may("lists"))],
    ask: Annotated[Ask, Query()],
) -> Response:
    """Show a list as issued, filtered and sorted as asked."""
    purpose = caller.purpose()
    document = await asyncio.to_thread(document_for, caller.runtime, caller.principal, list_id)
    over = None
    if caller.principal.role not in OVERSEES:
        over = await asyncio.to_thread(passed_over, caller.runtime.store, caller.scope, document)
    # Whom the page names beside the list is in the audit too.
    named = [one["dealer"] for one in over.named] if over else []
    subject = f"{list_id} {subjects(named)}" if named else list_id
    await caller.record(subject, purpose=purpose, list_id=list_id)
    failed = told_of(ask.refused, caller.principal, list_id)
    return await asyncio.to_thread(
        lambda: show_list(
            request, caller, document, ask, over=over, failed=failed,
            status=200 if failed is None else 422,
        )
    )  # fmt: skip


def show_list(
    request: Request,
    caller: Caller,
    document: ListDocument,
    ask: Ask,
    *,
    over: PassedOver | None = None,
    failed: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """Show a list; `failed` is a decision that was refused, given back as it was filled in."""
    if caller.principal.role in OVERSEES:
        return page(
            request, "audited_list.html", title="List", active="lists", me=caller.principal,
            doc=document,
        )  # fmt: skip
    store, view = caller.runtime.store, caller.scope.view
    looked_at = instant()
    decisions = decisions_of(store, document["list_id"])
    visible = document["rows"]
    heads = list(document["rows"][0]["heads"]) if document["rows"] else ["priority"]
    since = told_since(store, view, document)
    found = filtered(visible, ask, decisions, since.keys())
    per_page = min(max(len(found), 1), MOST_ON_A_PAGE) if ask.all else PER_PAGE
    n_pages = max(1, -(-len(found) // per_page))
    number = min(ask.page, n_pages)
    highest = max((row["heads"][heads[0]]["upper"] for row in visible), default=1.0)
    rows = found[per_page * (number - 1) : per_page * number]
    return page(
        request, "issued_list.html",
        title=f"List of {day_of(document['issued_at'])}", active="lists", me=caller.principal,
        status=status, doc=document, rows=rows,
        n_found=len(found), page=number, n_pages=n_pages, ask=ask, heads=heads,
        scale=160.0 / max(highest, 1e-9), decisions=decisions, since=since,
        elsewhere=decided_elsewhere(store, view, document),
        choices=choices(visible),
        sorts=SORTS, reasons=OVERRIDE_WORDS, link=ask.query, back=ask.query(),
        parts=_parts(view, document, rows),
        change=change_in_words(document, _previous(caller, document)),
        shortfall=shortfall(document), over=over,
        can_issue=caller.principal.role in ACCESS["rank"],
        assigned=assignments_of(store, document["list_id"]),
        views=views_of(store, caller.principal.name),
        can_decide=caller.principal.role in ACCESS["decisions"],
        has_plan=caller.principal.role in ACCESS["plan"],
        is_filtered=ask.is_filtered, most_on_a_page=MOST_ON_A_PAGE,
        said=DONE.get(ask.done, ""), failed=failed, peers_note=PEERS,
        is_gone=view.is_gone, today=clock.today().isoformat(), people=_people(caller),
        looked_at=looked_at,
    )  # fmt: skip


def _people(caller: Caller) -> list[str]:
    """Return who else a row of a list can be handed to by name."""
    offices = np.unique(caller.scope.view.snapshot.columns["office"][caller.scope.own].astype(str))
    found = inspectors_of(caller.runtime.store, offices.tolist())
    return [name for name in found if name != caller.principal.name]


def _previous(caller: Caller, document: ListDocument) -> ListDocument | None:
    """Return the list before, as far as the caller may read it."""
    if document["change"] is None:
        return None
    before = document["change"]["previous_list"]
    try:
        return document_for(caller.runtime, caller.principal, before)
    except UnknownListError:
        return None


def _parts(
    view: View, document: ListDocument, rows: list[Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Take priorities apart; not those that another bundle gave than the one in force."""
    if document["basis"]["bundle_sha256"] != view.snapshot.basis["bundle_sha256"]:
        return {row["dealer"]: {} for row in rows}
    found = parts_of(view, [(row["heads"], row["priority"]) for row in rows])
    return dict(zip((row["dealer"] for row in rows), found, strict=True))
