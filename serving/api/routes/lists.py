"""Issue lists, and read them as issued."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic_core import to_json
from starlette.responses import Response

from serving.access.roles import ACCESS, OVERSEES
from serving.api.callers import Caller, allow, content_of, json_answer, responses
from serving.api.tags import AS_BEFORE, Known, is_known, not_modified, tag_of, tagged, tagged_json
from serving.contract.answers import AuditedList, IssuedList, ListId, ListPage, RankRequest
from serving.contract.changes import ListSummaries
from serving.contract.records.lists import ListDocument, ListPageDocument
from serving.lists.files import list_files
from serving.lists.files.follow_up import FollowUp, follow_up
from serving.lists.issued import issue, readable
from serving.lists.since import told_since
from serving.lists.summaries import summary_page
from serving.lists.work import decided_in_words
from serving.settings import MAX_LIST
from serving.store.result_pages import CURSOR

# A list of more dealers than this is made in its caller's turn.
LONG: Final = 500

# Entries of a page of a list where none are asked for.
_PAGE: Final = 500
router = APIRouter(prefix="/v1", tags=["lists"])

_FILES: Final[Mapping[str, tuple[str, Callable[..., bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", list_files.to_csv),
    "xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        list_files.to_xlsx,
    ),
    "pdf": ("application/pdf", list_files.to_pdf),
    "csvm": ("application/csvm+json", list_files.csv_metadata),
}
_CONTENT: Final = content_of(media for media, _ in _FILES.values())
_ListPath = Annotated[ListId, Path(description="The list's id")]


@router.post(
    "/rank",
    response_model=ListPage,
    responses=responses(404, 409),
    summary="Issue a ranked list",
)
async def rank(body: RankRequest, caller: Annotated[Caller, Depends(allow("rank"))]) -> Response:
    """Compose a list for an area, keep it for ever and return its first page."""
    request = body.model_copy(update={"purpose": caller.purpose(body.purpose) or None})
    if body.k <= LONG:
        document = await asyncio.to_thread(issue, caller.runtime, caller.principal, request)
    else:
        document = await caller.heavy(issue, caller.runtime, caller.principal, request)
    return json_answer(to_json(page_of(document, cursor=0, limit=body.limit)))


@router.get(
    "/lists",
    response_model=ListSummaries,
    responses=responses(),
    summary="The newest issued lists",
)
async def read_lists(
    caller: Annotated[Caller, Depends(allow("lists"))],
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="`next_cursor`")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Return what identifies the newest lists that the caller may read, the newest first."""
    purpose = caller.purpose()
    found, following = await asyncio.to_thread(
        summary_page, caller.runtime, caller.principal, limit=limit, cursor=cursor
    )
    await caller.record(f"{len(found)} lists", purpose=purpose)
    return json_answer(to_json({"lists": found, "next_cursor": following}))


# Before the route of the list itself, which would take the file's name for an id.
@router.get(
    "/lists/{list_id}.{kind}",
    responses={**responses(404), **AS_BEFORE, 200: {"content": _CONTENT}},
    response_class=Response,
    summary="A list as a file",
)
async def read_file(
    list_id: _ListPath,
    kind: Annotated[
        str,
        Path(
            pattern=r"^(csv|xlsx|pdf|csvm)$",
            description="csv, xlsx or pdf; csvm says what the CSV is about",
        ),
    ],
    caller: Annotated[Caller, Depends(allow("lists"))],
    known: Known = None,
) -> Response:
    """Return the list as CSV, spreadsheet or PDF; what must be said with the CSV is beside it.

    Behind the columns of the list stand what was decided about each dealer and what was told of
    its visit since.
    """
    content = await _content(caller, list_id)
    media, write = _FILES[kind]
    # The columns of the list stand as issued; what was told and decided since stands behind them.
    said = await asyncio.to_thread(_since if kind == "pdf" else _followed, caller, content)
    tag = tag_of(content, kind + repr([_in_order(one) for one in said]))
    if is_known(tag, known):
        return not_modified(tag)
    made = await caller.heavy(lambda: write(json.loads(content), *said))
    headers = tagged(tag) | {"Content-Disposition": f'attachment; filename="{list_id}.{kind}"'}
    if kind == "csv":
        beside = f"{list_id}.csvm"
        headers["Link"] = f'<{beside}>; rel="describedby"; type="application/csvm+json"'
    return Response(made, media_type=media, headers=headers)


@router.get(
    "/lists/{list_id}",
    response_model=IssuedList | ListPage | AuditedList,
    responses={**responses(404), **AS_BEFORE},
    summary="A list exactly as issued",
)
async def read_list(
    list_id: _ListPath,
    caller: Annotated[Caller, Depends(allow("lists"))],
    cursor: Annotated[
        int | None,
        Query(ge=0, le=MAX_LIST, description="`next_cursor` of the last answer; 0 begins"),
    ] = None,
    limit: Annotated[
        int | None,
        Query(ge=1, le=MAX_LIST, description=f"Most entries of one page, {_PAGE} by default"),
    ] = None,
    known: Known = None,
) -> Response:
    """Return the bytes that were issued; with `cursor` or `limit`, a page of them.

    A dealer held from the caller since is left out, and an auditor sees no scores.
    """
    content = await _content(caller, list_id)
    if cursor is None and limit is None:
        # What is issued never changes; what the caller sees of it does when a hold comes or goes.
        return tagged_json(content, known)
    page = page_of(json.loads(content), cursor=cursor or 0, limit=limit or _PAGE)
    return json_answer(to_json(page))


async def _content(caller: Caller, list_id: str) -> bytes:
    purpose = caller.purpose()
    content = await asyncio.to_thread(readable, caller.runtime, caller.principal, list_id)
    await caller.record(list_id, purpose=purpose, list_id=list_id)
    return content


def _since(caller: Caller, content: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Return what was told of the dealers since and what was decided, in words, as the page does.

    Nothing to whom sees no inspections; decisions to those who may make them.
    """
    role, store, view = caller.principal.role, caller.runtime.store, caller.scope.view
    if role in OVERSEES:
        return {}, {}
    document = json.loads(content)
    told = {dealer: one.sentence for dealer, one in told_since(store, view, document).items()}
    decided = decided_in_words(store, view, document) if role in ACCESS["decisions"] else {}
    return told, decided


def _in_order(said: Mapping[str, str] | FollowUp | None) -> object:
    return sorted(said.items()) if isinstance(said, Mapping) else said


def _followed(caller: Caller, content: bytes) -> tuple[FollowUp | None]:
    """Return what came of the dealers since as columns; none to whom sees no inspections."""
    role = caller.principal.role
    if role in OVERSEES:
        return (None,)
    store, view = caller.runtime.store, caller.scope.view
    can_see = role in ACCESS["decisions"]
    return (follow_up(store, view, json.loads(content), with_decisions=can_see),)


def page_of(document: ListDocument, *, cursor: int, limit: int) -> ListPageDocument:
    """Return the rows from `cursor` on, at most `limit`, with everything that is not rows."""
    end = cursor + limit
    is_last = end >= len(document["rows"])
    rows = document["rows"][cursor:end]
    return {**document, "rows": rows, "next_cursor": None if is_last else end}
