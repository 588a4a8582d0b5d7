"""Problem documents (RFC 9457): what every refusal looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from features.domain.number_words import counted
from features.errors import FflRiskError
from serving.contract.examples import EXAMPLES

MEDIA_TYPE: Final = "application/problem+json"


class FieldProblem(BaseModel):
    """What is wrong with one part of a request. The value itself is never repeated."""

    where: str = Field(description="Path of the part, such as body.dealers.3")
    what: str = Field(description="What was wrong with it and what is expected")


class Problem(BaseModel):
    """A refusal, as RFC 9457 describes it."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="A URN that ends in the code")
    title: str = Field(description="The HTTP status in words")
    status: int = Field(ge=400, le=599)
    code: str = Field(description="Stable, for programs")
    detail: str = Field(description="What was wrong")
    found: str | None = Field(default=None, description="What was found")
    expected: str | None = Field(default=None, description="What was expected")
    fix: str | None = Field(default=None, description="What to do about it")
    errors: list[FieldProblem] | None = Field(default=None, description="One entry a faulty part")


TITLES: Final[Mapping[int, str]] = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    431: "Too large",
    500: "Unexpected fault",
    503: "Not available now",
    504: "Timed out",
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> Response:
    """Build the response of a refusal; `more` may hold `found`, `expected` and `fix`."""
    document: dict[str, Any] = {
        "type": f"urn:ffl-risk:problem:{code}",
        "title": TITLES.get(status, "Refused"),
        "status": status,
        "code": code,
        "detail": detail,
        **{name: text for name, text in more.items() if text},
    }
    if errors:
        document["errors"] = list(errors)
    body = Problem(**document).model_dump_json(exclude_none=True)
    extra = dict(headers or {})
    if status == 401:
        extra.setdefault("WWW-Authenticate", 'Bearer realm="ffl-risk"')
    if status in {429, 503}:
        extra.setdefault("Retry-After", "1")
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=extra)


def problem_of(error: FflRiskError) -> Response:
    """Build the response of one of the project's own errors.

    What lies below the service (a bundle, a warehouse) is the operator's concern: its paths and
    details stay in the log.
    """
    status = getattr(error, "status", 500)
    code = getattr(error, "code", "internal_error")
    if code == "internal_error":
        return problem(500, code, "The service met a fault; it is in the service's log.")
    headers = {"Retry-After": "600"} if code == "suspended" else None
    return problem(
        status, code, error.what, headers=headers, found=error.found, expected=error.expected,
        fix=error.fix,
    )  # fmt: skip


def problem_of_validation(found: Sequence[Mapping[str, Any]]) -> Response:
    """Build the response to a request that is not valid, from what pydantic found."""
    if any(one["type"] == "json_invalid" for one in found):
        return problem(400, "malformed_body", "The body is not valid JSON.")
    faults = [FieldProblem(where=_where(one["loc"]), what=_what(one)) for one in found[:50]]
    return problem(
        422,
        "invalid_request",
        counted(len(found), "part of the request is", "parts of the request are") + " not valid.",
        errors=faults,
    )


def _where(parts: Sequence[Any]) -> str:
    text = ".".join(str(part)[:80] for part in parts[:12])
    # A name of the caller's making may hold anything, lone surrogates included.
    return text.encode("ascii", "backslashreplace").decode()


def _what(fault: Mapping[str, Any]) -> str:
    """Say what is expected. The input is never repeated: it may be restricted."""
    said = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "string_type" and isinstance(fault.get("input"), int | float):
        said += f", in quotes{_example(fault['loc'])}; a number was sent"
    return said.encode("ascii", "backslashreplace").decode()[:400]


def _example(parts: Sequence[Any]) -> str:
    """Return an example of a part of a request, where one is at hand."""
    name = next((part for part in reversed(parts) if isinstance(part, str)), "")
    found = next((example[name] for example in EXAMPLES.values() if name in example), "")
    if isinstance(found, list) and found:
        found = found[0]
    return f', such as "{found}"' if isinstance(found, str) and found else ""
