"""Reference series cut at the day they were public.

Each series is a table with a ``year`` or ``month`` column; ``publication.toml`` says how long after
the period it came out. A signal as of ``T`` reads only what was known before ``T``.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import pandas as pd

from features.domain.asof import add_months
from features.errors import InvalidValueError, did_you_mean
from features.openjson import Json
from features.reference.files import read_table, read_toml


def publication(name: str) -> Json:
    """Return publisher, lag and evidence of a series.

    Raises
    ------
    InvalidValueError
        When no series has that name.
    """
    entries = read_toml("publication.toml")
    if name not in entries:
        raise InvalidValueError(
            f"No reference series is called {name!r}{did_you_mean(name, entries, end='.')}",
            expected=", ".join(entries),
        )
    entry: dict[str, Any] = entries[name]
    return entry


@lru_cache(maxsize=4096)
def known_on(name: str, period: date | int) -> date:
    """Day on which a series was public for a year or for the month that starts on a date.

    Examples
    --------
    >>> known_on("county_population", 2011)
    datetime.date(2013, 4, 1)
    """
    entry = publication(name)
    after = date(period + 1, 1, 1) if isinstance(period, int) else add_months(period, 1)
    first_known_on: date = entry["first_known_on"]
    return max(add_months(after, entry["lag_months"]), first_known_on)


def latest_year(name: str, as_of: date) -> int | None:
    """Newest year of a yearly series that was public before `as_of`, or None.

    Examples
    --------
    >>> latest_year("county_population", date(2013, 5, 1))
    2011
    """
    years = [year for year in _years(name) if known_on(name, year) < as_of]
    return max(years, default=None)


def known_before(name: str, as_of: date) -> pd.DataFrame:
    """Rows of a series that were public before `as_of`.

    Returns
    -------
    DataFrame
        A copy with the columns of the table; empty when nothing was public yet.
    """
    table = read_table(name)
    if publication(name)["period"] == "year":
        newest = latest_year(name, as_of)
        return table[table["year"] <= (newest if newest is not None else -1)].copy()
    months = [month for month in _months(name) if known_on(name, month) < as_of]
    newest_month = max(months, default=date.min + timedelta(days=1))
    return table[table["month"] <= newest_month].copy()


@lru_cache(maxsize=16)
def _years(name: str) -> tuple[int, ...]:
    return tuple(sorted({int(year) for year in read_table(name)["year"].unique()}))


@lru_cache(maxsize=16)
def _months(name: str) -> tuple[date, ...]:
    return tuple(sorted(set(read_table(name)["month"])))
