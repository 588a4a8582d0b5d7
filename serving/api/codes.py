"""Every code that a problem document may carry: the one list of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from serving.errors import ServingError

# Said by what stands in front of the routes, where no error of a class of its own is raised.
OF_TRANSPORT: Final = (
    "body_too_large",
    "idempotency_key_reused",
    "malformed_body",
    "method_not_allowed",
    "not_found",
    "refused",
    "timeout",
    "unsupported_media_type",
)
# Of the client alone, of commands and of pages: no route answers with them.
NEVER_SENT: Final = frozenset({"unreachable", "unknown_trial"})


def codes() -> list[str]:
    """Return every code, sorted."""
    found = {kind.code for kind in _kinds(ServingError)} - NEVER_SENT
    return sorted({*found, *OF_TRANSPORT})


def _kinds(base: type[ServingError]) -> Iterator[type[ServingError]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)
