"""Entity tags: what is as it was when a client last read it is not sent again.

A tag is made of what this caller is shown, so that one who sees less, or more since a hold was
lifted, has another. Access is checked and recorded before a tag is looked at.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final

from fastapi import Header
from starlette.responses import Response

from serving.versions import code_version

Known = Annotated[
    str | None,
    Header(alias="If-None-Match", max_length=1_000, description="`ETag` of what was read before"),
]
AS_BEFORE: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As it was"}}


def tag_of(content: bytes, kind: str = "") -> str:
    """Return the tag of a document, or of the file of a kind that this version makes of it."""
    digest = hashlib.sha256(content)
    if kind:
        digest.update(f"\0{kind}\0{code_version()}".encode())
    return f'"{digest.hexdigest()[:32]}"'


def is_known(tag: str, known: str | None) -> bool:
    """Whether a client says that it has what carries the tag.

    >>> is_known('"a"', 'W/"b", "a"'), is_known('"a"', None), is_known('"a"', "*")
    (True, False, True)
    """
    if known is None:
        return False
    told = [one.strip().removeprefix("W/") for one in known.split(",")]
    return tag in told or told == ["*"]


def tagged(tag: str) -> dict[str, str]:
    """Return the headers of an answer that carries a tag."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def not_modified(tag: str) -> Response:
    """Answer that it is as it was."""
    return Response(status_code=304, headers=tagged(tag))


def tagged_json(content: bytes, known: str | None) -> Response:
    """Answer with JSON that is ready, unless the client has it."""
    tag = tag_of(content)
    if is_known(tag, known):
        return not_modified(tag)
    return Response(content, media_type="application/json", headers=tagged(tag))
