"""Whether this machine's clock can be right: the audit's times, and deadlines, rest on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from serving.errors import NotReadyError
from serving.store.database import Store
from serving.store.tables import AUDIT

_FIX: Final = (
    "set the clock, by NTP if it can be; if the other one was wrong, raise FFL_RISK_CLOCK_TOLERANCE"
)


def check_clock(store: Store, tolerance_seconds: float) -> None:
    """Refuse a clock that is behind the newest audit record, or apart from the database server's.

    Raises
    ------
    NotReadyError
        Naming how far off it is.
    """
    most = timedelta(seconds=tolerance_seconds)
    newest = newest_record(store)
    with store.read() as connection:
        here = datetime.now(UTC)
        server = None if store.is_sqlite else connection.scalar(sa.select(sa.func.now()))
    if newest is not None and newest - here > most:
        behind = newest - here
        raise NotReadyError(
            "This machine's clock is behind the newest record of the audit.",
            found=f"{here:%Y-%m-%d %H:%M:%S} UTC, {_minutes(behind)} behind",
            expected=f"at most {most.total_seconds():g} seconds",
            fix=_FIX,
        )
    if server is not None and abs(server - here) > most:
        raise NotReadyError(
            "The clocks of this machine and of the database server are apart.",
            found=f"{here:%Y-%m-%d %H:%M:%S} UTC, {_minutes(abs(server - here))} apart",
            expected=f"at most {most.total_seconds():g} seconds",
            fix=_FIX,
        )


def newest_record(store: Store) -> datetime | None:
    """Return when the newest record of the audit was written, None when there is none."""
    with store.read() as connection:
        newest = connection.scalar(sa.select(AUDIT.c.at).order_by(AUDIT.c.seq.desc()).limit(1))
    return None if newest is None else datetime.fromisoformat(newest)


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:,.0f} minutes"
