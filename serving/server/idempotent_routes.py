"""What is kept under an `Idempotency-Key`, and what answers it when it is sent again.

Whoever sends a write again is checked as if it were the first time: role, purpose and the switch
may have changed, and what a hold hides by now is not shown again. The access is recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from serving.access.audit.writer import subjects
from serving.api.callers import Caller
from serving.api.routes.lists import page_of
from serving.api.routes.referrals import case_for, referral_for
from serving.contract.answers import RankRequest
from serving.lists.issued import readable

# From the caller, what was kept, and the body that was sent, to the answer as it stands now.
Again = Callable[[Caller, str, bytes], bytes]


@dataclass(frozen=True)
class Route:
    """A route whose writes are kept under a key.

    Parameters
    ----------
    action : str
        What a caller must be allowed to do there.
    again : callable, optional
        Reads the answer anew; without it an answer that was not noted is made by making the write
        again, which changes nothing, for what it says is known.
    is_always : bool
        Whether the answer is read anew although it was noted: it shows what may be hidden by now.
    """

    action: str
    again: Again | None = None
    is_always: bool = False


def _list(caller: Caller, ref: str, body: bytes) -> bytes:
    content = readable(caller.runtime, caller.principal, ref)
    limit = RankRequest.model_validate_json(body).limit
    return to_json(page_of(json.loads(content), cursor=0, limit=limit))


def _referral(caller: Caller, ref: str, _: bytes) -> bytes:
    return to_json(referral_for(caller, int(ref)))


def _case(caller: Caller, ref: str, _: bytes) -> bytes:
    # Asking and approving show no rows; reading the request does, and is recorded as that.
    return to_json({**case_for(caller, ref), "rows": []})


ROUTES: Final[Mapping[str, Route]] = {
    "/v1/rank": Route("rank", _list, is_always=True),
    "/v1/decisions": Route("decisions"),
    "/v1/outcomes": Route("outcomes"),
    "/v1/events": Route("events"),
    "/v1/referrals/{referral_id}/steps": Route("referral_steps", _referral, is_always=True),
    "/v1/case_requests": Route("case_ask", _case, is_always=True),
    "/v1/case_requests/{request_id}/decision": Route("case_decide", _case, is_always=True),
}
_PATTERNS: Final = tuple(
    (re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), route) for template, route in ROUTES.items()
)


def route_of(path: str) -> Route | None:
    """Return the route of a path, None when nothing is kept there under a key.

    >>> route_of("/v1/referrals/7/steps").action
    'referral_steps'
    >>> route_of("/v1/score") is None
    True
    """
    return next((route for pattern, route in _PATTERNS if pattern.fullmatch(path)), None)


def shown_in(body: bytes) -> tuple[str, str]:
    """Return what an audit record says that an answer shows: its dealers, and of which list.

    >>> shown_in(b'{"list_id": "L-1", "rows": [{"dealer": "1-23-45678"}]}')
    ('1-23-45678', 'L-1')
    """
    told: Any = json.loads(body)
    rows = (row["dealer"] for row in told.get("rows") or ())
    many = (*(told.get("dealers") or ()), *(told.get("pending") or ()))
    found = {*rows, *many, str(told.get("dealer") or "")}
    return subjects(found - {""}), str(told.get("list_id") or "")


def stated_purpose(body: bytes) -> str | None:
    """Return the purpose that a body states."""
    try:
        told: Any = json.loads(body)
    except ValueError:
        return None
    found = told.get("purpose") if isinstance(told, Mapping) else None
    return found if isinstance(found, str) else None
