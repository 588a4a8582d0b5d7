"""Scores and explanations of dealers."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from serving import clock
from serving.access.audit.writer import subjects
from serving.api.callers import Caller, allow, content_of, json_answer, responses
from serving.contract.answers import ExplainRequest, Explanation, ScoreAnswer, ScoreRequest
from serving.contract.features import FeaturesAnswer, FeaturesRequest
from serving.contract.records.scores import UnknownRecord
from serving.dealers.explaining import explain, score_rows
from serving.errors import UnknownDealerError
from serving.scores import export

router = APIRouter(prefix="/v1", tags=["scores"])

# Above this many dealers a request leaves the event loop to the others.
INLINE = 20


@router.post(
    "/score", response_model=ScoreAnswer, responses=responses(), summary="Score up to 1,000 dealers"
)
async def score(body: ScoreRequest, caller: Annotated[Caller, Depends(allow("score"))]) -> Response:
    """Return the scores of each dealer asked for, in that order.

    A dealer that is absent, outside the caller's area or misspelled is answered `unknown`; the
    others are answered all the same.
    """
    purpose = caller.purpose(body.purpose)
    if len(body.dealers) <= INLINE:
        content, seen = score_content(caller, body)
    else:
        content, seen = await asyncio.to_thread(score_content, caller, body)
    await caller.record(subjects(seen), purpose=purpose)
    return json_answer(content)


def score_content(caller: Caller, body: ScoreRequest) -> tuple[bytes, list[str]]:
    """Return the answer as JSON, and the dealers that it shows."""
    scope = caller.scope
    view, dealers = scope.view, scope.view.snapshot.columns["dealer"]
    rows = [scope.row(asked) for asked in body.dealers]
    there = [row for row in rows if row is not None]
    known = iter(view.scores_in_json(there, with_reasons=body.with_reasons))
    parts = [
        _unknown(asked) if row is None else next(known)
        for asked, row in zip(body.dealers, rows, strict=True)
    ]
    before, after = view.snapshot.frame_on(clock.today())
    return b"".join((before, b",".join(parts), after)), [dealers[row] for row in there]


def _unknown(asked: str) -> bytes:
    found: UnknownRecord = {"dealer": asked, "status": "unknown"}
    return to_json(found)


_CONTENT: Final = content_of(media for media, _ in export.FORMS.values())


@router.get(
    "/scores/export",
    responses={**responses(), 200: {"content": _CONTENT}},
    response_class=Response,
    summary="Every score of the caller's area",
)
async def export_scores(
    caller: Annotated[Caller, Depends(allow("export"))],
    form: Annotated[
        Literal["csv", "arrow", "csvm"],
        Query(alias="format", description="csvm says what the CSV is about"),
    ] = "csv",
) -> Response:
    """Return all scores by national rank, as CSV or as a stream of Arrow, while it is written."""
    purpose = caller.purpose()
    scope = caller.scope
    media, write = export.FORMS[form]
    who = caller.principal
    area = "nation" if who.is_national else " ".join(sorted(who.areas))
    await caller.record(f"all scores of {area} as {form}", purpose=purpose)
    headers = {"Content-Disposition": f'attachment; filename="scores.{form}"'}
    if form == "csv":
        beside = 'rel="describedby"; type="application/csvm+json"'
        headers["Link"] = f"<export?format=csvm>; {beside}"
    return StreamingResponse(write(scope), media_type=media, headers=headers)


@router.post(
    "/score_features",
    response_model=FeaturesAnswer,
    responses=responses(),
    summary="Score rows of signals",
)
async def score_features(
    body: FeaturesRequest, caller: Annotated[Caller, Depends(allow("score_features"))]
) -> Response:
    """Score what-if rows: each names every signal of the bundle, null where it is missing."""
    purpose = caller.purpose(body.purpose)
    answer = await asyncio.to_thread(score_rows, caller.scope.view.snapshot, body.rows)
    await caller.record(f"{len(body.rows)} rows of signals", purpose=purpose)
    return json_answer(to_json(answer))


@router.post(
    "/explain",
    response_model=Explanation,
    responses=responses(404),
    summary="Explain one dealer's scores",
)
async def explain_dealer(
    body: ExplainRequest, caller: Annotated[Caller, Depends(allow("explain"))]
) -> Response:
    """Return what each signal adds, in sentences, with the records behind it and the way off."""
    purpose = caller.purpose(body.purpose)
    scope = caller.scope
    row = scope.row(body.dealer)
    if row is None:
        raise UnknownDealerError(
            "There is no such dealer within your area.", expected="a dealer key R-DD-SSSSS"
        )
    home = caller.runtime.settings.home
    answer = await asyncio.to_thread(explain, scope, row, k=body.k, warehouse=home / "warehouse")
    await caller.record(str(scope.view.snapshot.columns["dealer"][row]), purpose=purpose)
    return json_answer(to_json(answer))
