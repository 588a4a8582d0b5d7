"""A form between two pages, sealed into the address of the second: every page can be asked again.

A page that answers a form by itself cannot be gone back to: a browser keeps no such page, and asks
whether to send the form twice. So a form is answered by an address, and what was typed travels in
it, readable for the session alone that typed it: no log, history or other person learns it, and
nobody can hand over an address that fills in somebody else's form.

A form that is refused is answered in the same way, by the address of its own page with what was
typed and what is wrong with it: `refuse` and `told_of` are the one way of all forms.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from starlette.responses import RedirectResponse, Response

from features.errors import FflRiskError
from serving.access.accounts import Principal
from serving.errors import InvalidRequestError

Fields = Sequence[tuple[str, str]]
# Longer than this, an address may not pass the machines in between.
MOST: Final = 6_000


def sealed(fields: Fields, principal: Principal, about: str) -> str:
    """Return the fields of a form as a text for an address.

    Parameters
    ----------
    fields : sequence of (str, str)
    principal : Principal
        Whose session it is.
    about : str
        What the form is about; it opens for nothing else.
    """
    from cryptography.fernet import Fernet

    content = zlib.compress(json.dumps([list(field) for field in fields]).encode(), 9)
    return Fernet(_key(principal, about)).encrypt(content).decode()


def opened(text: str, principal: Principal, about: str) -> list[tuple[str, str]] | None:
    """Return the fields sealed into an address; None when this session did not seal them."""
    from cryptography.fernet import Fernet, InvalidToken

    try:
        content = Fernet(_key(principal, about)).decrypt(text.encode())
    except (InvalidToken, ValueError):
        return None
    return [(str(name), str(value)) for name, value in json.loads(zlib.decompress(content))]


async def refuse(
    principal: Principal,
    address: str,
    told: Mapping[str, str],
    *,
    about: str,
    show: Callable[[], Awaitable[Response]],
) -> Response:
    """Answer a refused form by its page's address, or by the page where that is too long.

    Parameters
    ----------
    address : str
        Of the page, perhaps with a query. No anchor: it would take the focus from what is wrong.
    told : mapping of str to str
        What was typed and what is wrong; the page gets it back from `told_of`.
    about : str
        What the form is about; it opens for nothing else.
    show : callable
        Makes the page itself.
    """
    draft = sealed(list(told.items()), principal, about)
    if len(draft) > MOST:
        return await show()
    mark = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{mark}refused={draft}", status_code=303)


def told_of(draft: str, principal: Principal, about: str) -> Told | None:
    """Return what a page's address says of a form that was refused; None when it says nothing.

    Also when another session sealed it: the page is then shown as it is.
    """
    fields = opened(draft, principal, about) if draft else None
    return None if fields is None else Told(fields)


class Told(dict[str, str]):
    """What was typed and what is wrong with it; what is missing was empty."""

    def __missing__(self, name: str) -> str:
        return ""


def told_error(error: FflRiskError) -> dict[str, str]:
    """Return the words of a refusal, to be sealed."""
    words = {"what": error.what, "found": error.found, "expected": error.expected}
    return words | {"fix": error.fix, "status": str(getattr(error, "status", 422))}


def error_of(told: Mapping[str, str]) -> InvalidRequestError:
    """Return the refusal that was sealed, as a page shows it."""
    error = InvalidRequestError(
        told["what"], found=told["found"], expected=told["expected"], fix=told["fix"]
    )
    error.status = int(told["status"] or error.status)
    return error


def _key(principal: Principal, about: str) -> bytes:
    words = f"form {principal.csrf} {principal.name} {about}"
    return base64.urlsafe_b64encode(hashlib.sha256(words.encode()).digest())
