"""Requests that two programs would read in two ways: refused before anybody acts on one of them.

What stands in front of the service (a proxy, a filter, a log) must read a request as the service
does, or it lets through what it was to stop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from email.message import Message as Headers
from typing import Any, Final

_ONCE: Final = frozenset(
    {b"authorization", b"content-encoding", b"content-length", b"content-type",
     b"ffl-risk-purpose", b"host", b"idempotency-key", b"transfer-encoding"}
)  # fmt: skip
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_HOST: Final = re.compile(rb"[A-Za-z0-9._~%\[\]:-]{1,300}")
Fault = tuple[int, str, str]


class _TwiceError(ValueError):
    """A key that stands twice in one object."""


def fault_of_headers(headers: Iterable[tuple[bytes, bytes]], version: str = "1.1") -> Fault | None:
    """Return status, code and sentence of what is wrong with the headers, None when nothing is."""
    headers = list(headers)
    given = dict(headers)
    if len(given) != len(headers):
        seen = [name for name, _ in headers if name in _ONCE]
        if len(seen) != len(set(seen)):
            return 400, "refused", "A header that may stand once stands twice."
    if version not in _VERSIONS:
        return 400, "refused", "The request is not HTTP/1.1."
    if given.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        return 400, "refused", "The body is packed on the way; send it as it is."
    if version == "1.0" and b"transfer-encoding" in given:
        return 400, "refused", "HTTP/1.0 has no Transfer-Encoding."
    host = given.get(b"host")
    if (host is None and version == "1.1") or (host and not _HOST.fullmatch(host)):
        return 400, "refused", "The request does not name one host."
    if given.get(b"content-encoding", b"identity").lower() != b"identity":
        return 422, "invalid_request", "The body is packed; send it as it is."
    return None


def fault_of_body(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Fault | None:
    """Return what is wrong with a JSON body before it is validated, None when nothing is.

    What is no JSON at all is left to whoever validates it, who says where it is broken. Text in
    another coding than UTF-8 some programs read and others do not.
    """
    kind = dict(headers).get(b"content-type", b"")
    if kind != b"application/json" and not _is_json(kind.decode("latin-1")):
        return 422, "invalid_request", "The body is not JSON in UTF-8 by its Content-Type."
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return 400, "malformed_body", "The body is not in UTF-8."
    if "\0" in text:  # of UTF-16 and UTF-32 nothing else is left that could be JSON
        return 400, "malformed_body", "The body is not JSON in UTF-8."
    try:
        _READER.decode(text)
    except _TwiceError:
        return 400, "malformed_body", "A key stands twice in one object of the body."
    except (ValueError, RecursionError):
        return None
    return None


def _is_json(kind: str) -> bool:
    headers = Headers()
    headers["content-type"] = kind
    charset = str(headers.get_param("charset", "utf-8")).lower()
    return headers.get_content_type() == "application/json" and charset in {"utf-8", "us-ascii"}


def _once_each(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


_READER: Final = json.JSONDecoder(object_pairs_hook=_once_each)
