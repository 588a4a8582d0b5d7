"""As-of dates and half-open windows: the only arithmetic on dates in the project.

Everything is days since 1970-01-01 in an ``int32``, the representation that Arrow, DuckDB and the
kernels share. A fact is visible as of ``T`` when its ``known_on < T``; a window of ``n`` days
as of ``T`` is ``[T - n, T)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from dateutil.relativedelta import relativedelta

from features.errors import InvalidValueError

EPOCH = date(1970, 1, 1)
NEVER = np.int32(2**31 - 1)  # a day that never comes: rows that nothing supersedes


@dataclass(frozen=True, order=True)
class Window:
    """A look-back of whole days, written in columns as ``90d``, ``1y``, ``3y``, ``5y`` or ``ever``.

    Parameters
    ----------
    name : str
        The suffix that a column carries.
    days : int
        Length in days; a year is 365 days, so a window never depends on where leap days fall.
    """

    name: str
    days: int


D90 = Window("90d", 90)
Y1 = Window("1y", 365)
Y2 = Window("2y", 730)
Y3 = Window("3y", 1095)
Y5 = Window("5y", 1825)
Y10 = Window("10y", 3650)
EVER = Window("ever", 100 * 365)


def parse_date(text: str | date) -> date:
    """Read an ISO date ``YYYY-MM-DD``.

    Raises
    ------
    InvalidValueError
        When `text` is not a date in that form.

    Examples
    --------
    >>> parse_date("2026-02-28")
    datetime.date(2026, 2, 28)
    """
    if isinstance(text, date):
        return text
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValueError(
            f"{text!r} is not a date.",
            expected="YYYY-MM-DD, for example 2026-02-28",
        ) from None


def to_day(when: date) -> int:
    """Days since 1970-01-01.

    >>> to_day(date(1970, 1, 2))
    1
    """
    return (when - EPOCH).days


def to_days(when: Sequence[date]) -> npt.NDArray[np.int32]:
    """Days since 1970-01-01 of each date, shape (n,)."""
    return np.array([to_day(d) for d in when], dtype=np.int32)


def from_day(day: int) -> date:
    """Return the date of a day number.

    >>> from_day(1)
    datetime.date(1970, 1, 2)
    """
    return date.fromordinal(EPOCH.toordinal() + int(day))


def add_months(when: date, months: int) -> date:
    """Return `when` moved by whole calendar months; the day is clipped to the month's last.

    >>> add_months(date(2024, 2, 29), 12)
    datetime.date(2025, 2, 28)
    """
    return when + relativedelta(months=months)


def month_ends(first: date, last: date) -> list[date]:
    """Return the first day of each month after `first` up to `last`.

    As-of dates on these days see whole months.

    >>> month_ends(date(2024, 1, 15), date(2024, 3, 1))
    [datetime.date(2024, 2, 1), datetime.date(2024, 3, 1)]
    """
    when = first.replace(day=1)
    out: list[date] = []
    while (when := add_months(when, 1)) <= last:
        out.append(when)
    return out
