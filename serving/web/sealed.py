"""A form between two pages, sealed into the address of the second: every page can be asked again.

A page that answers a form by itself cannot be gone back to: a browser keeps no such page, and asks
whether to send the form twice. So a form is answered by an address, and what was typed travels in
it, readable for the session alone that typed it: no log, history or other person learns it, and
nobody can hand over an address that fills in somebody else's form.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Final

from serving.access.accounts import Principal

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


def _key(principal: Principal, about: str) -> bytes:
    words = f"form {principal.csrf} {principal.name} {about}"
    return base64.urlsafe_b64encode(hashlib.sha256(words.encode()).digest())
