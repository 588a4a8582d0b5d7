"""Authenticate a request and check role, purpose and rate: what every data route depends on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response

from features.openjson import Json
from serving.access.accounts import COOKIE, Principal, cookie_name
from serving.access.rates import RateLimiter
from serving.access.roles import check_purpose, check_role, require_known
from serving.api.queries import check_query
from serving.errors import PurposeError, UnauthenticatedError
from serving.runtime import Runtime
from serving.scores.visible_dealers import Scope

PURPOSE_HEADER = "ffl-risk-purpose"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Caller:
    """An authenticated caller on one route."""

    runtime: Runtime
    principal: Principal
    action: str
    header_purpose: str | None

    def purpose(self, stated: str | None = None) -> str:
        """Return the purpose to record, from the body, else the header, else the session."""
        if stated and self.header_purpose and stated != self.header_purpose:
            raise PurposeError("The body and the header state different purposes.")
        purpose = stated or self.header_purpose or self.principal.purpose or None
        return check_purpose(self.action, purpose, self.runtime.snapshot.restriction)

    @property
    def scope(self) -> Scope:
        """What the caller may see."""
        return self.runtime.scope(self.principal)

    async def heavy(self, work: Callable[..., Result], *args: Any, goes_on: bool = False) -> Result:
        """Do work that takes seconds, in this caller's turn."""
        return await self.runtime.heavy.run(self.principal.name, work, *args, goes_on=goes_on)

    async def record(
        self,
        subject: str,
        *,
        purpose: str | None = None,
        list_id: str = "",
        is_alone: bool = False,
    ) -> int:
        """Write the audit record of this access, and return once it is committed.

        Parameters
        ----------
        purpose : str, optional
            As `purpose` gave it, of an action that needs one; else the one stated, if any.
        is_alone : bool
            Whether no other request is being answered.

        Raises
        ------
        AuditError
            When it could not be written: the answer must then not be given.
        """
        if purpose is None:
            purpose = self.header_purpose or self.principal.purpose
        access = self.runtime.access(
            self.principal, self.action, subject, purpose=purpose, list_id=list_id
        )
        return await self.runtime.audit.record(access, is_alone=is_alone)


async def authenticate(request: Request, runtime: Runtime) -> Principal:
    """Return who is asking.

    Raises
    ------
    UnauthenticatedError
        When nobody, or nobody acceptable, is.
    """
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        token = token.strip(" \t")
        if scheme.lower() != "bearer" or not token or len(token) > 8_192:
            raise UnauthenticatedError(
                "The Authorization header cannot be used.", expected="Authorization: Bearer TOKEN"
            )
        if runtime.oidc is not None and not token.startswith("ffl_"):
            return await asyncio.to_thread(runtime.oidc.principal, token)
        # A known token costs no thread and no query.
        if (known := runtime.directory.remembered(token)) is not None:
            return known
        return await asyncio.to_thread(runtime.directory.principal_of_token, token)
    cookie = request.cookies.get(cookie_name(COOKIE, is_https=runtime.settings.is_https))
    # A cookie alone never changes anything: a page of another site could send it along.
    if cookie and request.method in {"GET", "HEAD"}:
        return await asyncio.to_thread(runtime.directory.principal_of_session, cookie)
    raise UnauthenticatedError(
        "This needs an identity.",
        expected="Authorization: Bearer TOKEN",
        fix="ffl-risk tokens issue ACCOUNT makes a token",
    )


def allow(action: str) -> Callable[[Request], Awaitable[Caller]]:
    """Return the dependency that lets only the roles of `action` through."""

    async def caller(request: Request) -> Caller:
        state = request.app.state
        return await caller_of(request, state.runtime, state.limiter, action)

    return caller


async def caller_of(
    request: Request, runtime: Runtime, limiter: RateLimiter, action: str
) -> Caller:
    """Return the caller of a request if identity, rate and role let it through."""
    principal = await authenticate(request, runtime)
    request.scope["ffl_risk.who"] = principal.name
    limiter.spend(principal.name)
    check_query(request)
    check_role(principal, action)
    runtime.switch.check(action)
    purpose = request.headers.get(PURPOSE_HEADER)
    require_known(purpose)
    return Caller(runtime, principal, action, purpose)


def json_answer(content: bytes, *, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON that is ready."""
    return Response(content, media_type="application/json", headers=headers)


def responses(*statuses: int, also: Collection[int] = ()) -> dict[int | str, Json]:
    """Declare the problem documents a route may answer with."""
    from serving.api.problems import MEDIA_TYPE, TITLES, Problem

    always = {400, 401, 403, 413, 422, 429, 500, 503, 504}
    return {
        status: {
            "model": Problem,
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {}},
        }
        for status in sorted({*always, *statuses, *also})
    }


def content_of(kinds: Iterable[str]) -> dict[str, Json]:
    """Declare what files of some media types are to a program: text, a JSON object, or bytes."""
    return {media.partition(";")[0]: {"schema": _schema_of(media)} for media in kinds}


def _schema_of(media: str) -> Json:
    if media.endswith("+json"):
        return {"type": "object"}
    return {"type": "string"} | ({} if media.startswith("text/") else {"format": "binary"})
