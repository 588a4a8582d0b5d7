"""Decisions about the dealers of a list, one or many; rows handed over; saved views; my work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from features.errors import FflRiskError
from serving.access.people import as_kept, one_known
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.contract.field.decisions import OVERRIDE_WORDS, DecisionRequest
from serving.contract.kept_plan import PlanSummary
from serving.contract.records.lists import AssignmentRecord, ListRowRecord, StoredDecisionRecord
from serving.errors import ConflictError, InvalidRequestError, UnknownDealerError
from serving.field.outcomes.inspected_dealer import inspected
from serving.lists import work
from serving.lists.decisions import decide, was_own
from serving.lists.issued import document_for
from serving.planning.kept.store import plans_handed_to
from serving.planning.kept.taken_back import taken_back_from
from serving.scores.table.loaded_table import premises
from serving.store.database import instant
from serving.web.lists.list_rows import DONE, Ask
from serving.web.lists.pages import MOST_ON_A_PAGE, show_list
from serving.web.rendering import dealer_name, page, upper_first
from serving.web.sealed import MOST, Told, refuse, told_of
from serving.web.sign_in.visitor import PageRoute, checked_form, may, text, turned_to

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.post("/lists/{list_id}/decisions")
async def record_decision(
    request: Request, list_id: str, caller: Annotated[Caller, Depends(may("decisions"))]
) -> Response:
    """Keep an inspector's decision about a dealer of a list, or of a row handed to them."""
    form = await checked_form(request, caller.principal)
    back, is_work = _back(form), text(form, "from") == "work"
    dealer, decision, purpose = text(form, "dealer"), text(form, "decision"), caller.purpose()
    try:
        asked = _decision(list_id, dealer, decision, form=form, purpose=purpose)
        await _decide(caller, asked, text(form, "looked_at"))
    except FflRiskError as error:
        failed = {
            "dealer": dealer, "reason": text(form, "reason"), "note": text(form, "note"),
            "what": _in_words(error), "to": "", "at": "decision",
        }  # fmt: skip
        if is_work:
            failed |= {"list_id": list_id}
            return await refuse(
                caller.principal, "/work", failed, about="my work",
                show=partial(_work, request, caller, failed=failed),
            )  # fmt: skip
        return await _list_again(request, caller, list_id, back, failed=failed)
    done = "accept" if decision == "accept" else "override"
    if is_work:
        return RedirectResponse(f"/work?done={done}", status_code=303)
    return _to(list_id, back, done, f"#d-{dealer}")


@router.post("/lists/{list_id}/accept")
async def accept_many(
    request: Request, list_id: str, caller: Annotated[Caller, Depends(may("decisions"))]
) -> Response:
    """Accept all dealers ticked."""
    form = await checked_form(request, caller.principal)
    back = _back(form)
    dealers = list(dict.fromkeys(str(value) for value in form.getlist("dealers")))
    failed = {"at": "bulk", "dealers": " ".join(dealers)}
    if not 0 < len(dealers) <= MOST_ON_A_PAGE:
        failed["what"] = (
            f"Select at most {MOST_ON_A_PAGE} at once: {len(dealers):,} are ticked, none is taken"
            if dealers
            else "Select the dealers to accept: none is ticked"
        )
        return await _list_again(request, caller, list_id, back, failed=failed)
    refused: dict[str, str] = {}
    for dealer in dealers:
        asked = _decision(list_id, dealer, "accept", form=form, purpose=caller.purpose())
        try:
            await _decide(caller, asked, text(form, "looked_at"))
        except (UnknownDealerError, ConflictError) as error:
            refused[dealer] = error.found or error.what
    if not refused:
        return _to(list_id, back, "bulk")
    # The others are accepted, and what was not is named: a list of hundreds is no transaction.
    why = await asyncio.to_thread(_named_on, caller, list_id, refused)
    failed |= {
        "dealers": " ".join(refused),
        "what": f"{len(dealers) - len(refused):,} accepted. Not accepted: {why}",
    }
    return await _list_again(request, caller, list_id, back, failed=failed)


async def _decide(caller: Caller, asked: DecisionRequest, looked_at: str) -> None:
    """Keep a decision made on a page, unless it is one on what its maker has not seen."""
    await asyncio.to_thread(
        decide, caller.runtime, caller.principal, asked, purpose=caller.purpose(asked.purpose),
        looked_at=looked_at,
    )  # fmt: skip


def _in_words(error: FflRiskError) -> str:
    return f"{error.what} {upper_first(error.found)}" if error.found else error.what


def _named_on(caller: Caller, list_id: str, refused: Mapping[str, str]) -> str:
    """Name dealers of a list with what is said of each."""
    document = document_for(caller.runtime, caller.principal, list_id)
    names = {row["dealer"]: dealer_name(row) for row in document["rows"]}
    return "; ".join(f"{names.get(dealer, dealer)} ({said})" for dealer, said in refused.items())


@router.post("/lists/{list_id}/assign")
async def assign(
    request: Request, list_id: str, caller: Annotated[Caller, Depends(may("decisions"))]
) -> Response:
    """Hand a dealer of a list over to somebody."""
    form = await checked_form(request, caller.principal)
    back, purpose = _back(form), caller.purpose()
    dealer, who = text(form, "dealer"), as_kept(text(form, "to"))
    document = await asyncio.to_thread(document_for, caller.runtime, caller.principal, list_id)
    listed = {row["dealer"]: row for row in document["rows"]}
    is_known = caller.scope.row(dealer) is not None or caller.scope.view.is_gone(dealer)
    if dealer not in listed or not is_known:
        raise UnknownDealerError("There is no such dealer on that list.")
    nobody = "Say to whom: give an account name."
    if who:
        nobody = await asyncio.to_thread(_nobody, caller, who, listed[dealer])
    if nobody:
        failed = {
            "dealer": dealer, "reason": "", "note": "", "what": nobody,
            "to": text(form, "to"), "at": "to",
        }  # fmt: skip
        return await _list_again(request, caller, list_id, back, failed=failed)
    try:
        await asyncio.to_thread(
            lambda: work.assign(
                caller.runtime.store, list_id=list_id, dealer=dealer, to=who,
                ledger=caller.runtime.ledger(caller.principal, purpose=purpose, list_id=list_id),
                looked_at=text(form, "looked_at"),
            )
        )  # fmt: skip
    except ConflictError as error:
        failed = {
            "dealer": dealer, "reason": "", "note": "", "what": _in_words(error),
            "to": text(form, "to"), "at": "to",
        }  # fmt: skip
        return await _list_again(request, caller, list_id, back, failed=failed)
    return _to(list_id, back, "assigned", f"#d-{dealer}")


async def _list_again(
    request: Request, caller: Caller, list_id: str, back: Ask, *, failed: Mapping[str, str]
) -> Response:
    """Answer by the list's address with what was refused, there under the rules of reading it."""
    query = back.query()
    return await refuse(
        caller.principal, f"/lists/{list_id}{'?' + query if query else ''}", failed,
        about=list_id,
        show=partial(_list_at_once, request, caller, list_id, back, failed=Told(failed)),
    )  # fmt: skip


async def _list_at_once(
    request: Request, caller: Caller, list_id: str, back: Ask, *, failed: Told
) -> Response:
    """Show the list with what was refused, under the rules of reading it and with its record."""
    reader = turned_to(caller, "lists")
    purpose = reader.purpose()
    document = await asyncio.to_thread(document_for, caller.runtime, caller.principal, list_id)
    await reader.record(list_id, purpose=purpose, list_id=list_id)
    return await asyncio.to_thread(
        show_list, request, reader, document, back, failed=failed, status=422
    )


def _nobody(caller: Caller, who: str, listed: ListRowRecord) -> str:
    """Say that nobody could see a dealer handed over under a name; empty when somebody can."""
    found = one_known(caller.runtime.store, who, ACCESS["decisions"])
    if found is None:
        return f"No inspector or supervisor signs in as {who[:120]}: nothing was handed over."
    scope, dealer = caller.runtime.scope(found), listed["dealer"]
    is_seen = scope.row(dealer) is not None or (
        scope.view.is_gone(dealer) and was_own(listed, found)
    )
    if not is_seen:
        return f"The dealer is not within what {who[:120]} sees: nothing was handed over."
    return ""


@router.post("/views")
async def save_view(request: Request, caller: Annotated[Caller, Depends(may("lists"))]) -> Response:
    """Keep a filter under a name, for any list."""
    form = await checked_form(request, caller.principal)
    back, name = _back(form), text(form, "name")[:60]
    list_id = text(form, "list_id")
    if not name:
        failed = {"at": "view_name", "what": "Give the view a name, of 1 to 60 characters"}
        return await _list_again(request, caller, list_id, back, failed=failed)
    await asyncio.to_thread(
        work.save_view, caller.runtime.store, name, back.query(page=1),
        ledger=caller.runtime.ledger(caller.principal),
    )  # fmt: skip
    return _to(list_id, back, "view")


class _Handed(AssignmentRecord):
    name: str
    place: str


class _Decided(StoredDecisionRecord):
    name: str
    place: str


class _Visited(work.VisitRecord):
    name: str
    place: str


@router.get("/work")
async def mine(
    request: Request,
    caller: Annotated[Caller, Depends(may("decisions"))],
    done: Annotated[str, Query(max_length=20)] = "",
    refused: Annotated[str, Query(max_length=2 * MOST)] = "",
) -> Response:
    """Show what was handed to the caller, and what the caller decided and told."""
    failed = told_of(refused, caller.principal, "my work")
    return await _work(request, caller, said=DONE.get(done, ""), failed=failed)


async def _work(
    request: Request, caller: Caller, *, said: str = "", failed: Mapping[str, str] | None = None
) -> Response:
    purpose = caller.purpose()
    scope = caller.scope
    looked_at = instant()

    def read() -> tuple[list[_Handed], list[_Decided], list[_Visited], list[PlanSummary]]:
        store, name = caller.runtime.store, caller.principal.name
        handed: list[_Handed] = [
            {**one, "name": named[0], "place": named[1]}
            for one in work.assigned_to(store, name)
            if (named := _named(caller, one["dealer"]))
        ]
        done: list[_Decided] = [
            {**one, "name": named[0], "place": named[1]}
            for one in work.decisions_by(store, name)
            if (named := _named(caller, one["dealer"]))
        ]
        visits: list[_Visited] = [
            {**one, "name": named[0], "place": named[1]}
            for one in work.visits_by(store, name)
            if (named := _named(caller, one["dealer"]))
        ]
        return handed, done, visits, plans_handed_to(store, caller.principal, scope)

    assigned, decided, visited, plans = await asyncio.to_thread(read)
    withdrawn = await asyncio.to_thread(taken_back_from, caller.runtime.store, caller.principal)
    view = scope.view
    assigned = [
        one
        for one in assigned
        if scope.row(one["dealer"]) is not None or view.is_gone(one["dealer"])
    ]
    shown = {one["dealer"] for one in (*assigned, *decided, *visited)}
    named = {one["list_id"] for one in (*assigned, *decided)}
    readable = await asyncio.to_thread(work.readable_of, caller.runtime, caller.principal, named)
    await caller.record(f"work {' '.join(sorted(shown))}", purpose=purpose)
    return page(
        request, "work.html", title="My work", active="lists", me=caller.principal,
        is_gone=view.is_gone, assigned=assigned, decided=decided, visited=visited, plans=plans,
        withdrawn=withdrawn, looked_at=looked_at,
        readable=readable,
        said=said, failed=failed, status=200 if failed is None else 422, reasons=OVERRIDE_WORDS,
    )  # fmt: skip


def _named(caller: Caller, dealer: str) -> tuple[str, str] | None:
    """Return name and place of a dealer; None when it is held from the caller."""
    view = caller.scope.view
    row = view.row(dealer)
    if row is None:
        if not view.is_gone(dealer):
            return None
        warehouse = caller.runtime.settings.home / "warehouse"
        known = inspected(caller.scope, caller.principal, warehouse, dealer, with_names=True)
        name = dealer_name({"dealer": dealer, **(known.names if known else {})})
        return name, "gone from the newest listing"
    found = premises(view.snapshot.columns, row)
    return dealer_name(found), f"{found['city']}, {found['state']}"


def _back(form: FormData) -> Ask:
    try:
        return Ask.model_validate(dict(parse_qsl(text(form, "back"))))
    except ValidationError:
        return Ask()


def _to(list_id: str, back: Ask, done: str, place: str = "") -> Response:
    query = back.query()
    return RedirectResponse(
        f"/lists/{list_id}?{query}{'&' if query else ''}done={done}{place}", status_code=303
    )


def _decision(
    list_id: str, dealer: str, decision: str, *, form: FormData, purpose: str
) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate(
            {
                "list_id": list_id,
                "dealer": dealer,
                "decision": decision,
                "reason": (text(form, "reason") or None) if decision == "override" else None,
                "note": text(form, "note"),
                "purpose": purpose or None,
            }
        )
    except ValidationError:
        raise InvalidRequestError(
            "Choose a reason to override, or accept.", expected="a decision and, to override, why"
        ) from None
