"""The agency's day: one calendar for all that asks what is over and what is still to come.

``FFL_RISK_TIME_ZONE`` names the agency's time zone (``America/Chicago``, ``Pacific/Guam``,
``+10:00``); by default it is the machine's own. Moments are kept in UTC everywhere, and files for
programs and the API tell them so; what people read tells them by the agency's clock.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from features.errors import InvalidValueError

VARIABLE: Final = "FFL_RISK_TIME_ZONE"
# No zone of today begins its day, or another offset, within one of these.
_QUARTER: Final = 900
_OFFSET: Final = re.compile(r"(?:UTC)?([+-])(\d\d?)(?::?([0-5]\d))?")


def today() -> date:
    """Return the agency's day by the machine's clock."""
    return day_at(time.time())


def day_at(seconds: float) -> date:
    """Return the agency's day at a moment, in seconds since 1970."""
    name = os.environ.get(VARIABLE, "").strip()
    return _day(int(seconds // _QUARTER), name, time.tzname)


def day_of(moment: str) -> str:
    """Return the agency's day of a moment in ISO format, in which all moments are kept.

    >>> day_of("2026-03-01")
    '2026-03-01'
    """
    if len(moment) <= len("2026-03-01"):
        return moment
    when = datetime.fromisoformat(moment)
    return day_at((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()).isoformat()


def begin_of(day: date) -> str:
    """Return the moment at which the agency's day begins, in UTC and ISO format, without a zone.

    What is kept of moments compares with it as text.
    """
    name = os.environ.get(VARIABLE, "").strip()
    try:
        begins = datetime(day.year, day.month, day.day, tzinfo=zone(name)).astimezone(UTC)
    except OverflowError:  # the first or last day there is, of which nothing is kept
        return day.isoformat()
    return begins.replace(tzinfo=None).isoformat()


def moment_in_words(moment: str) -> str:
    """Return a moment in ISO format as a person reads it, by the agency's clock.

    >>> import os
    >>> os.environ["FFL_RISK_TIME_ZONE"] = "America/Los_Angeles"
    >>> moment_in_words("2026-01-05T02:20:30.123456Z")
    '4 January 2026, 18:20 PST'
    >>> del os.environ["FFL_RISK_TIME_ZONE"]
    """
    when = datetime.fromisoformat(moment)
    name = os.environ.get(VARIABLE, "").strip()
    when = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(zone(name))
    return f"{when.day} {when:%B %Y, %H:%M} {_told(when.tzname())}"


def zone_in_words() -> str:
    """Return the name of the agency's time zone."""
    return os.environ.get(VARIABLE, "").strip() or _told(datetime.now().astimezone().tzname())


def _told(name: str | None) -> str:
    """Return the name of an offset; some zones have numbers in place of names."""
    return f"UTC{name}" if name and name[0] in "+-" else str(name)


@lru_cache(maxsize=1_024)
def _day(quarter: int, name: str, _of_machine: tuple[str, str]) -> date:
    return datetime.fromtimestamp(quarter * _QUARTER, UTC).astimezone(zone(name)).date()


@lru_cache(maxsize=16)
def zone(name: str) -> tzinfo | None:
    """Return a time zone by its name or its offset; None, the machine's own, for no name.

    Raises
    ------
    InvalidValueError
        When no time zone is called so.

    Examples
    --------
    >>> zone("+10:00").utcoffset(None), zone("UTC-03:30").utcoffset(None).total_seconds() / 3600
    (datetime.timedelta(seconds=36000), -3.5)
    """
    if not name:
        return None
    offset = _OFFSET.fullmatch(name)
    if offset and int(offset[2]) <= 14:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(-span if offset[1] == "-" else span)
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise InvalidValueError(
            f"{VARIABLE} names no time zone that is known here.",
            found=repr(name[:40]),
            expected="a name such as America/Chicago, or an offset from UTC such as +10:00",
            fix="set it so, or leave it out for the machine's own; names need the time zone "
            "database of the system or the package tzdata",
        ) from None
