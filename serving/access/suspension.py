"""The switch that stops lists and scores at once, on every worker, until somebody resumes them.

Outcomes, events, referrals and the audit go on: what was found in the field is still kept, and a
suspect sale is never let go on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from serving.access.audit.audited_rows import kept_now
from serving.access.audit.hash_chain import Ledger
from serving.errors import ConflictError, InvalidRequestError, SuspendedError
from serving.store import journal
from serving.store.database import Store, instant
from serving.store.tables import SUSPENSIONS

# A worker asks the store again after this many seconds.
LOOK_SECONDS: Final = 0.5
# What stops: all that shows a score, or a place that a score gave.
STOPPED: Final = frozenset(
    {
        "score", "score_features", "rank", "explain", "plan", "plans", "lists", "dealers", "page",
        "export",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Suspension:
    """Why lists and scores are stopped, by whom and since when."""

    suspension_id: int
    why: str
    who: str
    at: str


def current(store: Store) -> Suspension | None:
    """Return the suspension in force, None when there is none."""
    with store.read() as connection:
        row = connection.execute(_open()).first()
    return None if row is None else _suspension(row)


def _open() -> sa.Select[Any]:
    """Ask for the suspensions that nobody has ended, the newest first."""
    query = sa.select(SUSPENSIONS).where(SUSPENSIONS.c.resumed_at.is_(None))
    return query.order_by(SUSPENSIONS.c.suspension_id.desc())


def _suspension(row: sa.Row[Any]) -> Suspension:
    return Suspension(row.suspension_id, row.why, row.who, row.at)


def suspend(store: Store, why: str, *, ledger: Ledger) -> Suspension:
    """Stop lists and scores, with the record of it.

    Raises
    ------
    ConflictError
        When they are stopped already.
    """
    text = _reason(why)
    row = {"why": text, "who": ledger.base.who, "at": instant()}
    with store.write() as connection:
        journal.lock(connection)  # two of them at once follow each other
        open_one = sa.select(SUSPENSIONS.c.at).where(SUSPENSIONS.c.resumed_at.is_(None))
        since = connection.scalar(open_one)
        if since is not None:
            raise ConflictError("Lists and scores are suspended already.", found=f"since {since}")
        result = connection.execute(SUSPENSIONS.insert(), row)
        key = int((result.inserted_primary_key or [0])[0])
        record = kept_now(connection, "suspension", key)
        ledger.add(connection, "suspend", text, kept=record)
    return Suspension(key, text, ledger.base.who, row["at"])


def resume(store: Store, why: str, *, ledger: Ledger) -> Suspension:
    """Let lists and scores go on, with the record of it; return the suspension that ends.

    Raises
    ------
    ConflictError
        When nothing is suspended.
    """
    text = _reason(why)
    values = {"resumed_why": text, "resumed_by": ledger.base.who, "resumed_at": instant()}
    with store.write() as connection:
        journal.lock(connection)
        # All that are open: one left over would go on stopping everything.
        found = [_suspension(row) for row in connection.execute(_open())]
        if not found:
            raise ConflictError("Lists and scores are not suspended.")
        for one in found:
            which = SUSPENSIONS.c.suspension_id == one.suspension_id
            connection.execute(SUSPENSIONS.update().where(which).values(**values))
            record = kept_now(connection, "suspension", one.suspension_id)
            ledger.add(connection, "resume", text, kept=record)
    return found[0]


def _reason(why: str) -> str:
    text = " ".join(why.split())
    if not 3 <= len(text) <= 2_000:
        raise InvalidRequestError(
            "A suspension and its end need a reason.", expected="3 to 2,000 characters"
        )
    return text


class Switch:
    """What every worker asks before it shows a score.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: Suspension | None = None
        self._looked = -LOOK_SECONDS

    def check(self, action: str) -> None:
        """Refuse what is stopped.

        Raises
        ------
        SuspendedError
            When lists and scores are suspended and `action` shows them.
        """
        if action not in STOPPED:
            return
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._found, self._looked = current(self._store), now
        if self._found is not None:
            raise SuspendedError(
                f"Lists and scores are suspended since {self._found.at}.",
                found=self._found.why,
                expected="what was found in the field is kept, and referrals go on",
                fix="ask whoever leads the program; ffl-risk resume ends it",
            )
