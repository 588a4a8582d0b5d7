"""Why a dealer stands where it stands, or is not on a list; and two dealers side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from features.arrays import Flags
from serving import clock
from serving.access.audit.writer import subjects
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.dealers.explaining import explain
from serving.errors import InvalidRequestError, LegalGateError, UnknownDealerError
from serving.lists.issued import issue
from serving.scores.visible_dealers import View, allows_visit, eligible_rows
from serving.scores.words.reason_sentences import measured_first
from serving.web.dealers.search import find_dealers
from serving.web.lists.list_rows import parts_of
from serving.web.lists.pages import rank_request
from serving.web.once import Once
from serving.web.rendering import dealer_name, page
from serving.web.sealed import MOST, refuse, told_of
from serving.web.sign_in.visitor import PageRoute, checked_form, may, text

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_K: Final = 50
_MOST_K: Final = 5_000
_MOST_REASONS: Final = 6
_SHOWN: Final = 0.005  # rounds to a hundredth


@router.get("/dealers/{dealer}/place")
async def show(
    request: Request,
    dealer: str,
    caller: Annotated[Caller, Depends(may("dealers"))],
    against: Annotated[str, Query(max_length=100)] = "",
    k: Annotated[int, Query(ge=1, le=_MOST_K)] = _K,
    refused: Annotated[str, Query(max_length=2 * MOST)] = "",
) -> Response:
    """Show rank, cut, eligibility and what keeps a dealer down; perhaps beside another."""
    told = told_of(refused, caller.principal, f"{dealer} by hand")
    wrong = None if told is None else Wrong(told["at"], told["said"])
    return await _page(request, caller, dealer, against=against, k=k, wrong=wrong, filled=told)


@router.post("/dealers/{dealer}/list")
async def issue_with(
    request: Request, dealer: str, caller: Annotated[Caller, Depends(may("rank"))]
) -> Response:
    """Issue a list that has the dealer, whatever its place: by hand, with a reason."""
    form = await checked_form(request, caller.principal)
    row = _row(caller, dealer)
    columns = caller.scope.view.snapshot.columns
    fields = {name: text(form, name) for name in ("manual_reason", "legal_basis", "k")} | {
        "manual_dealer": str(columns["dealer"][row]),
        "office": str(columns["office"][row]),
    }
    sent = Once.of(caller, form)
    try:
        asked = rank_request(fields, caller.purpose())
        list_id = await sent.known() or await sent.keep(
            lambda: issue(caller.runtime, caller.principal, asked)["list_id"]
        )
    except (LegalGateError, InvalidRequestError) as error:
        wrong = _wrong(error, fields)
        k = int(fields["k"]) if fields["k"].isdecimal() else _K
        k = min(max(k, 1), _MOST_K)
        return await refuse(
            caller.principal, f"/dealers/{dealer}/place?k={k}",
            fields | {"at": wrong.at, "said": wrong.said}, about=f"{dealer} by hand",
            show=partial(_page, request, caller, dealer, k=k, wrong=wrong, filled=fields),
        )  # fmt: skip
    return RedirectResponse(f"/lists/{list_id}", status_code=303)


def _wrong(error: LegalGateError | InvalidRequestError, fields: Mapping[str, str]) -> Wrong:
    if isinstance(error, LegalGateError):
        return Wrong("legal_basis", "It was inspected within twelve months: choose a legal basis")
    if not fields["manual_reason"]:
        return Wrong("manual_reason", "Say why")
    return Wrong("k", error.what)


@dataclass(frozen=True)
class Wrong:
    """What is wrong with the form, and at which field."""

    at: str
    said: str


async def _page(
    request: Request,
    caller: Caller,
    dealer: str,
    *,
    k: int,
    against: str = "",
    wrong: Wrong | None = None,
    filled: Mapping[str, str] | None = None,
) -> Response:
    purpose = caller.purpose()
    rows = [_row(caller, dealer)]
    other, hits = await asyncio.to_thread(_other, caller, against.strip(), rows[0])
    if other is not None:
        rows.append(other)
    keys = [str(caller.scope.view.snapshot.columns["dealer"][row]) for row in rows]
    await caller.record(subjects([*keys, *(str(hit["dealer"]) for hit in hits)]), purpose=purpose)
    found = await asyncio.to_thread(lambda: [_facts(caller, row, k) for row in rows])
    title = f"The place of {found[0]['name'][:60]}"
    return page(
        request, "place.html", title=title, today=clock.today().isoformat(),
        as_of=caller.scope.view.snapshot.as_of.isoformat(), active="dealers",
        me=caller.principal, k=k,
        one=found[0],
        other=found[1] if len(found) > 1 else None, against=against.strip(), hits=hits,
        families=_families(found), verdict=_verdict(found),
        can_issue=caller.principal.role in ACCESS["rank"],
        wrong=wrong, filled=filled or {}, status=200 if wrong is None else 422,
    )  # fmt: skip


def _other(caller: Caller, against: str, own: int) -> tuple[int | None, list[dict[str, str | int]]]:
    """Return the dealer that a number or name means, or those that it may mean; never its own."""
    if not against:
        return None, []
    row = caller.scope.row(against)
    if row is not None:
        return (None if row == own else row), []
    found, _ = find_dealers(caller, against)
    hits = [hit for hit in found if caller.scope.row(str(hit["dealer"])) != own]
    if len(hits) == 1:
        return caller.scope.row(str(hits[0]["dealer"])), []
    return None, hits


def _row(caller: Caller, dealer: str) -> int:
    row = caller.scope.row(dealer)
    if row is None:
        raise UnknownDealerError(
            "There is no such dealer within your area.", fix="search by name or number"
        )
    return row


def _facts(caller: Caller, row: int, k: int) -> dict[str, Any]:
    scope = caller.scope
    view, columns = scope.view, scope.view.snapshot.columns
    why = explain(scope, row, k=k, warehouse=None)
    ranked = view.order[eligible_rows(view)[view.order]]
    office = ranked[columns["office"][ranked] == columns["office"][row]]
    priority = float(columns["priority"][row])
    ahead = int((columns["priority"][office] > priority).sum())
    since = _allowed_since(view) & (columns["office"] == columns["office"][row])
    since[row] = False
    place = int(np.flatnonzero(office == row)[0]) if row in office else None
    names = ("dealer", "business_name", "licensee_name", "city", "state", "office")
    texts = {name: str(columns[name][row]) for name in names}
    own = [item for item in why["contributions"] if abs(item["contribution"]) >= _SHOWN]
    return {
        **texts,
        "name": dealer_name(texts),
        "priority": priority,
        "parts": parts_of(view, [(view.heads(row), priority)])[0],
        "heads": view.heads(row),
        "by_family": why["by_family"],
        "start": why["base"],
        "is_eligible": view.is_eligible(row),
        "eligible_on": view.eligible_on(row),
        "n_ahead": ahead,
        "n_eligible": len(office),
        "n_since": int(since.sum()),
        "n_since_ahead": int((columns["priority"][since] > priority).sum()),
        "cut": float(columns["priority"][office[k - 1]]) if len(office) >= k else None,
        "n_alike": int((columns["priority"][office] == priority).sum()) - (place is not None),
        "n_alike_before": 0 if place is None else place - ahead,
        "is_on": place is not None and place < k,
        "lowering": measured_first([i for i in own if i["contribution"] < 0])[:_MOST_REASONS],
        "raising": measured_first([i for i in own if i["contribution"] > 0])[:_MOST_REASONS],
    }


@dataclass(frozen=True)
class Verdict:
    """Which of two dealers stands higher, by how much, and what speaks most for it."""

    upper: str
    lower: str
    gap: float
    family: str
    by: float


def _verdict(found: list[dict[str, Any]]) -> Verdict | None:
    """Say which of two dealers stands higher and which family tells them apart most."""
    if len(found) < 2:
        return None
    # By the figures as they are shown: what reads the same is the same.
    gap = round(found[0]["priority"], 2) - round(found[1]["priority"], 2)
    upper, lower = found if gap >= 0 else found[::-1]
    names = {*upper["by_family"], *lower["by_family"]}
    apart = {n: upper["by_family"].get(n, 0.0) - lower["by_family"].get(n, 0.0) for n in names}
    by, most = max(((value, name) for name, value in apart.items()), default=(0.0, ""))
    family = most if by >= _SHOWN else ""
    return Verdict(upper["name"], lower["name"], abs(gap), family, by)


def _allowed_since(view: View) -> Flags:
    """Return the rows that no list takes by itself, but that may be visited by today."""
    day = max(view.snapshot.as_of, clock.today())
    allowed: Flags = allows_visit(view.snapshot.columns["eligible_on"], day)
    return allowed & ~eligible_rows(view) & view.is_visible


def _families(found: list[dict[str, Any]]) -> list[tuple[str, list[float]]]:
    """Return what each family adds to each dealer, those that tell them apart most first."""
    tables: list[Mapping[str, float]] = [one["by_family"] for one in found]
    names = sorted({name for table in tables for name in table})
    rows = [(name, [table.get(name, 0.0) for table in tables]) for name in names]
    return sorted(rows, key=lambda row: -abs(row[1][0] - (row[1][1] if len(row[1]) > 1 else 0)))
