"""What an auditor asks of the audit: by whom, what, looked at or changed, on which days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import sqlalchemy as sa

from serving.access.audit.hash_chain import AuditRecord
from serving.access.roles import ACCESS
from serving.store.database import Store
from serving.store.rows import picked
from serving.store.tables import AUDIT

Deed = Literal["look", "change"]
DEEDS: Final[tuple[str, ...]] = get_args(Deed)
# Changes that leave no row of which the record could hold a digest.
_WITHOUT_ROW: Final = frozenset(
    {
        "end_sessions", "events", "override_legal_gate", "refer", "save_view", "sign_in",
        "sign_out", "trial_plan", "webhook",
    }
)  # fmt: skip
# Actions that no role of the service reaches by a route, or that are named by what they do.
_BESIDE: Final = frozenset(
    {
        "add_account", "add_webhook", "assign", "case_request", "disable_account",
        "enable_account", "issue_token", "lift_hold", "place_hold", "referral", "remove_webhook",
        "responsibility", "resume", "revoke_token", "set_areas", "set_password", "set_role",
        "suspend", "trial_averts", "trial_read",
    }
)  # fmt: skip
ACTIONS: Final = tuple(sorted({*ACCESS, *_WITHOUT_ROW, *_BESIDE}))


class ReadRecord(AuditRecord):
    """A record as it is read: with whether it changed something or looked at it."""

    is_change: bool


@dataclass(frozen=True)
class Sought:
    """Which records are asked for; what is empty asks for all.

    Parameters
    ----------
    who, action, deed : str
        An account by its whole name, an action, ``look`` or ``change``.
    since, until : str
        Moments in UTC and ISO format, the latter not included.
    """

    who: str = ""
    action: str = ""
    deed: str = ""
    since: str = ""
    until: str = ""


def audit_page(
    store: Store, sought: Sought, *, limit: int, after: int = 0, before: int | None = None
) -> tuple[list[ReadRecord], bool]:
    """Return records and whether more follow, read on from a number and never from a count.

    Parameters
    ----------
    after : int
        Only records after this one, the oldest first; 0 for all.
    before : int or None
        Only records before this one, the newest first; 0 for all.
    """
    columns = [AUDIT.c[name] for name in AuditRecord.__annotations__]
    query = sa.select(*columns, _is_change().label("is_change")).where(*_terms(sought))
    if before is None:
        query = query.where(AUDIT.c.seq > after).order_by(AUDIT.c.seq)
    else:
        query = query.where(AUDIT.c.seq < before) if before else query
        query = query.order_by(AUDIT.c.seq.desc())
    with store.read() as connection:
        rows = connection.execute(query.limit(limit + 1)).all()
    found = [picked(ReadRecord, row._mapping) for row in rows[:limit]]
    for one in found:
        one["is_change"] = bool(one["is_change"])
    return found, len(rows) > limit


def _is_change() -> sa.ColumnElement[bool]:
    """Return the condition that a record is of a change: of a row, or one that leaves none."""
    has_row = sa.func.coalesce(AUDIT.c.kept, "") != ""
    return sa.or_(has_row, AUDIT.c.action.in_(sorted(_WITHOUT_ROW)))


def _terms(sought: Sought) -> list[Any]:
    terms: list[Any] = []
    if sought.who:
        terms.append(AUDIT.c.who == sought.who)
    if sought.action:
        terms.append(AUDIT.c.action == sought.action)
    if sought.deed:
        terms.append(_is_change() if sought.deed == "change" else sa.not_(_is_change()))
    if sought.since:
        terms.append(AUDIT.c.at >= sought.since)
    if sought.until:
        terms.append(AUDIT.c.at < sought.until)
    return terms
