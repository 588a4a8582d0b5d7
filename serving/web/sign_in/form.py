"""The sign-in form, the cookies it sets, and where one may be sent after it."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Final, Literal

from fastapi import Request
from starlette.responses import Response

from serving.access.accounts import COOKIE, cookie_name
from serving.access.roles import PURPOSES
from serving.runtime import Runtime
from serving.web.rendering import page

# Ties the sign-in form to the browser that asked for it: nobody is signed in by another's form.
FORM_COOKIE: Final = "ffl_risk_form"


async def ask_again(request: Request, fields: list[tuple[str, str]]) -> Response:
    """Show the sign-in form to somebody whose session ended over a form; the form waits in it."""
    return await show_form(
        request,
        next_page="/",
        notice="The session is over. Sign in, and your form is given back as you left it.",
        resume=local_address(request.url.path),
        kept=json.dumps(fields),
        status=401,
    )


async def show_form(
    request: Request,
    *,
    next_page: str,
    name: str = "",
    purpose: str = "",
    message: str = "",
    wrong: str = "",
    notice: str = "",
    status: int = 200,
    resume: str = "",
    kept: str = "",
) -> Response:
    """Show the form, with what was filled in and what was wrong with it.

    The purpose chosen stays chosen; of a session that is over it is the one stated for that.
    """
    token = secrets.token_urlsafe(24)
    runtime: Runtime = request.app.state.runtime
    over = request.cookies.get(cookie_name(COOKIE, is_https=runtime.settings.is_https), "")
    if not purpose and over:
        purpose = await asyncio.to_thread(runtime.directory.purpose_stated, over)
    oidc = runtime.oidc
    answer = page(
        request,
        "sign_in.html",
        title="Sign in",
        status=status,
        next=next_page,
        name=name,
        purpose=purpose if purpose in PURPOSES else PURPOSES[0],
        message=message,
        wrong=wrong,
        notice=notice,
        form_token=token,
        has_issuer=bool(oidc and oidc.settings.client_id),
        resume=resume,
        kept=kept,
    )
    set_cookie(answer, runtime, FORM_COOKIE, token, hours=1)
    return answer


def set_cookie(
    answer: Response,
    runtime: Runtime,
    name: str,
    value: str,
    *,
    hours: float,
    same_site: Literal["strict", "lax"] = "strict",
) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send."""
    answer.set_cookie(
        cookie_name(name, is_https=runtime.settings.is_https),
        value,
        max_age=int(hours * 3_600),
        path="/",
        httponly=True,
        samesite=same_site,
        secure=runtime.settings.is_https,
    )


def forget_cookie(answer: Response, runtime: Runtime, name: str) -> None:
    """Have the browser forget a cookie."""
    is_https = runtime.settings.is_https
    answer.delete_cookie(cookie_name(name, is_https=is_https), path="/", secure=is_https)


def local_address(address: str) -> str:
    """Return an address on this site only: no one is sent elsewhere after signing in."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\", "/sign-"))
    return address if is_local and address.isascii() and address.isprintable() else "/"
