"""The list pages: issue a list, read it, filter it, decide about its dealers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from features.errors import FflRiskError
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.api.routes import field
from serving.contract.answers import RankRequest
from serving.contract.field import DecisionRequest
from serving.errors import InvalidRequestError
from serving.lists.issued import issue, readable
from serving.lists.summaries import decisions_of, summaries
from serving.statements import PEERS
from serving.web.rendering import dealer_name, page
from serving.web.visitor import PageRoute, checked_form, may, text

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PER_PAGE: Final = 25
_DEFAULT_K: Final = 50
_BLANK: Final[Mapping[str, Any]] = {
    "k": _DEFAULT_K, "n_coverage": 0, "office": "", "state": "", "license_type": "", "box": "",
    "county": "",
}  # fmt: skip
OVERRIDE_REASONS: Final = (
    ("recently_visited", "Recently visited"),
    ("out_of_business", "Out of business"),
    ("known_low_risk", "Known to be low risk"),
    ("wrong_place", "Wrong place"),
    ("capacity", "No capacity"),
    ("safety", "Safety"),
    ("other_agency_lead", "Another agency leads"),
    ("local_knowledge_higher_risk", "Another dealer matters more"),
    ("other", "Other"),
)
SORTS: Final = (
    ("position", "Place on the list"),
    ("name", "Name"),
    ("city", "State and city"),
    ("score", "Score"),
    ("last", "Longest unseen"),
    ("moved", "Moved up most"),
)
_FAR: Final = "9999"


class Ask(BaseModel):
    """What of a list is asked for; all of it is in the address, so a filter can be saved."""

    model_config = ConfigDict(frozen=True, str_max_length=100, str_strip_whitespace=True)

    q: str = ""
    why: str = ""
    family: str = ""
    type: str = ""
    state: str = ""
    decided: str = ""
    sort: str = "position"
    page: int = Field(default=1, ge=1, le=200)
    all: bool = False
    saved: str = Field(default="", exclude=True)

    def query(self, **changes: Any) -> str:
        """Return the address part of this with some changes."""
        return urlencode(self.model_copy(update=changes).model_dump(exclude_defaults=True))

    @property
    def is_filtered(self) -> bool:
        """Whether some rows may be left out."""
        return bool(self.model_dump(exclude_defaults=True).keys() - {"sort", "page", "all"})


@router.get("/lists")
async def index(
    request: Request,
    caller: Annotated[Caller, Depends(may("lists"))],
    box: Annotated[str, Query(max_length=80)] = "",
    county: Annotated[str, Query(pattern=r"^(\d{5})?$")] = "",
    state: Annotated[str, Query(pattern=r"^([A-Z]{2})?$")] = "",
) -> Response:
    """Show the issued lists and the form for a new one."""
    form = {"box": box, "county": county, "state": state}
    return await asyncio.to_thread(_index, request, caller, form, None)


def _index(
    request: Request, caller: Caller, form: Mapping[str, Any], error: FflRiskError | None
) -> Response:
    caller.purpose()
    can_issue = caller.principal.role in ACCESS["rank"]
    columns = caller.scope.view.snapshot.columns
    own = caller.scope.own
    types = license_types()
    return page(
        request, "lists.html", title="Lists", active="lists", me=caller.principal,
        status=200 if error is None else int(getattr(error, "status", 422)),
        lists=summaries(caller.runtime, caller.principal),
        can_issue=can_issue,
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
    try:
        asked = _rank_request(fields, caller.purpose())
        document = await asyncio.to_thread(issue, caller.runtime, caller.principal, asked)
    except FflRiskError as error:
        return await asyncio.to_thread(_index, request, caller, fields, error)
    return RedirectResponse(f"/lists/{document['list_id']}", status_code=303)


def _rank_request(fields: Mapping[str, str], purpose: str) -> RankRequest:
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
                "purpose": purpose or None,
            }
        )
    except (ValidationError, ValueError):
        raise InvalidRequestError(
            "The form holds something unusable.",
            expected="1 to 5,000 dealers, a share from 0 to 1, an area of yours",
        ) from None


@router.get("/lists/{list_id}")
async def show(
    request: Request,
    list_id: str,
    caller: Annotated[Caller, Depends(may("lists"))],
    ask: Annotated[Ask, Query()],
) -> Response:
    """Show a list as issued, filtered and sorted as asked."""
    purpose = caller.purpose()
    content = await asyncio.to_thread(readable, caller.runtime, caller.principal, list_id)
    await caller.record(list_id, purpose=purpose, list_id=list_id)
    return await asyncio.to_thread(_show, request, caller, json.loads(content), ask)


def _show(
    request: Request,
    caller: Caller,
    document: Mapping[str, Any],
    ask: Ask,
    *,
    error: str = "",
    status: int = 200,
) -> Response:
    if caller.principal.role == "auditor":
        return page(
            request, "audited_list.html", title="List", active="lists", me=caller.principal,
            doc=document,
        )  # fmt: skip
    decisions = decisions_of(caller.runtime.store, document["list_id"])
    visible = document["rows"]
    heads = list(document["rows"][0]["heads"]) if document["rows"] else ["priority"]
    found = filtered(visible, ask, decisions)
    per_page = max(len(found), 1) if ask.all else PER_PAGE
    n_pages = max(1, -(-len(found) // per_page))
    number = min(ask.page, n_pages)
    highest = max((row["heads"][heads[0]]["upper"] for row in visible), default=1.0)
    return page(
        request, "issued_list.html", title="List", active="lists", me=caller.principal,
        status=status,
        doc=document, rows=found[per_page * (number - 1) : per_page * number],
        n_found=len(found), page=number, n_pages=n_pages, ask=ask, heads=heads,
        scale=160.0 / max(highest, 1e-9), decisions=decisions, choices=choices(visible),
        sorts=SORTS, reasons=OVERRIDE_REASONS, link=ask.query, back=ask.query(),
        can_decide=caller.principal.role in ACCESS["decisions"],
        has_plan=caller.principal.role in ACCESS["plan"],
        is_filtered=ask.is_filtered, saved=ask.saved, error=error, peers_note=PEERS,
    )  # fmt: skip


def choices(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what there is to filter by."""
    rows = list(rows)
    return {
        "why": sorted({why for row in rows for why in row["why"]}),
        "family": sorted({reason["family"] for row in rows for reason in row["reasons"]}),
        "type": sorted({row["license_type"] for row in rows}),
        "state": sorted({row["state"] for row in rows}),
    }


def filtered(
    rows: Iterable[Mapping[str, Any]], ask: Ask, decisions: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the rows asked for, in the order asked for."""
    words = ask.q.casefold().split()
    kept = [row for row in rows if _matches(row, ask, words, decisions.get(row["dealer"]))]
    orders: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "name": lambda row: dealer_name(row).casefold(),
        "city": lambda row: (row["state"], row["city"].casefold()),
        "score": lambda row: -next(iter(row["heads"].values()))["value"],
        "last": lambda row: str(row["last_inspected_on"] or ""),
        "moved": _moved,
    }
    return sorted(kept, key=orders.get(ask.sort, lambda row: row["position"]))


def _moved(row: Mapping[str, Any]) -> int:
    before = (row["change"] or {}).get("previous_position")
    return 0 if before is None else int(row["position"] - before)


def _matches(
    row: Mapping[str, Any], ask: Ask, words: list[str], decision: Mapping[str, Any] | None
) -> bool:
    names = ("dealer", "license_number", "licensee_name", "business_name", "city", "zip")
    where = " ".join(str(row[name]) for name in names).casefold()
    made = decision["decision"] if decision else "open"
    return (
        all(word in where for word in words)
        and (not ask.why or ask.why in row["why"])
        and (not ask.type or ask.type == row["license_type"])
        and (not ask.state or ask.state == row["state"])
        and (not ask.decided or ask.decided == made)
        and (not ask.family or any(r["family"] == ask.family for r in row["reasons"]))
    )


@router.post("/lists/{list_id}/decisions")
async def record_decision(
    request: Request, list_id: str, caller: Annotated[Caller, Depends(may("decisions"))]
) -> Response:
    """Keep an inspector's decision about a dealer of a list."""
    form = await checked_form(request, caller.principal)
    back = Ask.model_validate(dict(parse_qsl(text(form, "back"))))
    dealer, decision = text(form, "dealer"), text(form, "decision")
    try:
        await field.decisions(_decision(form, list_id, caller.purpose()), caller)
    except FflRiskError as error:
        content = await asyncio.to_thread(readable, caller.runtime, caller.principal, list_id)
        return await asyncio.to_thread(
            _show, request, caller, json.loads(content), back, error=error.what, status=422
        )
    said = f"{dealer} is {'accepted' if decision == 'accept' else 'overridden'}."
    query = back.query() + ("&" if back.query() else "") + urlencode({"saved": said})
    return RedirectResponse(f"/lists/{list_id}?{query}#d-{dealer}", status_code=303)


def _decision(form: FormData, list_id: str, purpose: str) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate(
            {
                "list_id": list_id,
                "dealer": text(form, "dealer"),
                "decision": text(form, "decision"),
                "reason": text(form, "reason") or None,
                "note": text(form, "note"),
                "purpose": purpose or None,
            }
        )
    except ValidationError:
        raise InvalidRequestError(
            "Choose a reason to override, or accept.", expected="a decision and, to override, why"
        ) from None
