"""Refusals of the guard as pages: it refuses before, or in the midst of, what a route would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse, Response

from serving.api.problems import TITLES
from serving.statements import NOT_EVIDENCE
from serving.web.rendering import environment, static_version

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIX: Final = {
    404: "check the address, or go back to the start",
    405: "go back to the page and use its form",
    413: "send less at once",
    503: "wait a few seconds and load the page again",
    504: "ask for less: fewer weeks, a smaller area",
}


def wants_page(scope: Mapping[str, Any]) -> bool:
    """Return whether a person at a browser asks, not a program."""
    if scope["path"].startswith("/v1/"):
        return False
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accepted


def refusal_page(status: int, detail: str) -> Response:
    """Return a refusal as a page that shows nothing of anybody: who asks is not known yet."""
    title = TITLES.get(status, "Refused")
    html = (
        environment()
        .get_template("problem.html")
        .render(
            title=title,
            heading=title,
            status=status,
            detail=detail,
            found="",
            expected="",
            fix=_FIX.get(status, ""),
            active="",
            me=None,
            me_area="",
            pages=[],
            basis=None,
            data=None,
            disclaimers=[NOT_EVIDENCE],
            version=static_version(),
        )
    )
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "1"
    return HTMLResponse(html, status, headers=headers)
