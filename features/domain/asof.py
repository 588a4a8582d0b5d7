"""As-of dates, half-open windows and the cut of time.

Everything is days since 1970-01-01 in an ``int32``, the representation that Arrow, DuckDB and the
kernels share. A fact is visible as of ``T`` when its ``known_on < T``; a window of ``n`` days
as of ``T`` is ``[T - n, T)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from dateutil.relativedelta import relativedelta

from features.errors import InvalidValueError

if TYPE_CHECKING:
    import pandas as pd

EPOCH = date(1970, 1, 1)
DAYS_A_YEAR = 365  # of every window and duration: none depends on where leap days fall
NEVER = np.int32(2**31 - 1)  # a day that never comes: rows that nothing supersedes


@dataclass(frozen=True, order=True)
class Window:
    """A look-back of whole days, written in columns as ``90d``, ``1y``, ``3y``, ``5y`` or ``ever``.

    Parameters
    ----------
    name : str
        The suffix that a column carries.
    days : int
        Length in days; a year is `DAYS_A_YEAR`.
    """

    name: str
    days: int


D90 = Window("90d", 90)
Y1, Y2, Y3, Y5, Y10 = (Window(f"{n}y", n * DAYS_A_YEAR) for n in (1, 2, 3, 5, 10))
EVER = Window("ever", 100 * DAYS_A_YEAR)


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


def months_over(when: date, months: int) -> date:
    """Return the first day after the period of whole months that begins on `when`.

    It is the same day of a later month; where that month has no such day, the period ends with the
    month's last day and the answer is the first of the next.

    >>> months_over(date(2024, 3, 10), 12)
    datetime.date(2025, 3, 10)
    >>> months_over(date(2024, 2, 29), 12)
    datetime.date(2025, 3, 1)
    """
    same = add_months(when, months)
    return same if same.day == when.day else same + timedelta(days=1)


def months_over_column(when: pd.Series, months: int) -> pd.Series:
    """Return `months_over` of each day of a column, shape (n,); null stays null."""
    import pandas as pd  # slow to import, and most of who comes here needs no table

    same = when + pd.DateOffset(months=months)
    is_clipped = same.dt.day < when.dt.day
    over: pd.Series = same + pd.to_timedelta(is_clipped.astype("int64"), unit="D")
    return over.astype("datetime64[s]")


def day_sql(day: date | int | str) -> str:
    """Return a day as SQL: from a date, days since 1970-01-01, or an SQL number of such days.

    >>> day_sql(date(2024, 1, 31)), day_sql(1), day_sql("n")
    ("DATE '2024-01-31'", "(DATE '1970-01-01' + 1)", "(DATE '1970-01-01' + n)")
    """
    return f"DATE '{day}'" if isinstance(day, date) else f"(DATE '{EPOCH}' + {day})"


def number_sql(day: str) -> str:
    """Return an SQL day as days since 1970-01-01.

    >>> number_sql("known_on")
    "(known_on - DATE '1970-01-01')"
    """
    return f"({day} - DATE '{EPOCH}')"


def known_sql(day: str, *, row: str = "") -> str:
    """Return the SQL condition of rows known before a day: the cut of time.

    Parameters
    ----------
    day : str
        SQL of the day, as `day_sql` writes it, or a parameter.
    row : str
        Alias of the relation, where there are several.

    Examples
    --------
    >>> known_sql("$as_of")
    'known_on < $as_of'
    """
    return f"{row + '.' if row else ''}known_on < {day}"


def standing_sql(day: str, *, row: str = "") -> str:
    """Return the SQL condition of rows that nothing had superseded on a day.

    >>> standing_sql("$as_of", row="r")
    '(r.superseded_on IS NULL OR r.superseded_on >= $as_of)'
    """
    name = f"{row + '.' if row else ''}superseded_on"
    return f"({name} IS NULL OR {name} >= {day})"


def in_force_sql(day: str, *, row: str = "") -> str:
    """Return the SQL condition of rows in force as of a day: known before it, not superseded.

    >>> in_force_sql("$t")
    '(known_on < $t AND (superseded_on IS NULL OR superseded_on >= $t))'
    """
    return f"({known_sql(day, row=row)} AND {standing_sql(day, row=row)})"


def is_known(known_on: Any, as_of: Any) -> Any:
    """Tell which days of knowledge, shape (n,), lie before an as-of day."""
    return known_on < as_of


def from_numpy(value: np.datetime64 | None) -> date | None:
    """Return a calendar date, None for a missing one.

    >>> from_numpy(np.datetime64("2024-02-29"))
    datetime.date(2024, 2, 29)
    """
    if value is None:
        return None
    found = value.item()
    if isinstance(found, int):  # of a unit finer than Python's own
        found = value.astype("datetime64[D]").item()
    when: date | None = found.date() if isinstance(found, datetime) else found
    return when


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


def as_of_range(first: str | date, last: str | date, *, every_months: int = 1) -> list[date]:
    """Return `first` and each day a number of months after it, up to `last`.

    Examples
    --------
    >>> as_of_range("2023-01-31", "2023-04-01")
    [datetime.date(2023, 1, 31), datetime.date(2023, 2, 28), datetime.date(2023, 3, 31)]
    """
    begin, end = parse_date(first), parse_date(last)
    if every_months < 1 or end < begin:
        raise InvalidValueError(
            "A range of dates runs forward in whole months.",
            found=f"{begin} to {end}, every {every_months} months",
            expected="a last date not before the first, and at least one month",
        )
    months = relativedelta(end, begin)
    n = (months.years * 12 + months.months) // every_months
    dates = [add_months(begin, every_months * k) for k in range(n + 2)]
    return [when for when in dates if when <= end]
