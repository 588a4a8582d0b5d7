"""Studies of the case library: linked from a dossier by the signals they share, and read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from starlette.responses import Response

from features.insight.library import Case, library, search
from serving.api.callers import Caller
from serving.web.oversight.model import card_html
from serving.web.rendering import page
from serving.web.sign_in.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_MOST: Final = 3
_LEAST_RAISED: Final = 0.05
_ABOVE_PEERS: Final = 80.0


def cases_for(contributions: Sequence[Mapping[str, Any]]) -> list[tuple[Case, int]]:
    """Return the studies whose signals raise a score, with how many of them do, most first.

    A study is of a dealer only where the record itself stands out in what the study names first:
    a value observed, above that of most peers, and no estimate from similar dealers.
    """
    raised = {
        c["signal"]
        for c in contributions
        if c["contribution"] >= _LEAST_RAISED and (c["share_below"] or 0.0) >= _ABOVE_PEERS
    }
    found = [(case, len(raised & set(case.signals))) for case in search("", tuple(raised))]
    return [(case, n) for case, n in found if raised & set(case.signals[:1])][:_MOST]


@router.get("/cases/{name}")
async def show(
    request: Request,
    name: Annotated[str, Path(pattern=r"^[a-z0-9_]{1,60}$")],
    caller: Annotated[Caller, Depends(may("dealers"))],
) -> Response:
    """Show a study. It names no dealer, so reading it is no access to dealer-level data."""
    case = next((one for one in library() if one.name == name), None)
    if case is None:
        raise HTTPException(404)
    return page(
        request, "case.html", title=case.title[:60], active="dealers", me=caller.principal,
        case=case, text=card_html(case.text),
    )  # fmt: skip
