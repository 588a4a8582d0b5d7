"""A register of licenses, one row a license for good, as the listings of its days.

Most agencies keep no listing of every month but one row a license, with the day on which it was
granted and the day on which it ended. A mapping with a table ``[register]`` makes of it what a
listing of each day would have shown::

    [register]
    from = "DT_GRANTED"
    to = "DT_GONE"
    date_format = "%d-%b-%Y"
    first = "2020-07-01"
    last = "2026-07-01"
    every_months = 1

A license without ``from`` is in force since before the first day, one without ``to`` still is. Its
name and place are those of today on every day, because a register forgets the others. The listing
of one later day alone is made by ``ffl-risk ingest --listed-on DAY``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from features.domain.missing_values import (
    is_no_date_sql,
    is_null_word_sql,
    is_zero_date_sql,
    trimmed_sql,
)
from features.sources.rows.dates import reading
from features.sql import as_text, quoted

LISTED_ON: Final = "listed_on"
_SETTINGS: Final = {"from", "to", "first", "last", "every_months", "date_format"}
_MOST_DAYS: Final = 600
_ISO: Final = "%Y-%m-%d"
# What a mark of no date means: granted since ever, ended never.
_UNBOUNDED: Final = {"register_from": "DATE '0001-01-01'", "register_to": "DATE '9999-12-31'"}


@dataclass(frozen=True)
class Register:
    """What a mapping says of a register.

    Parameters
    ----------
    began, ended : str
        Columns of the first day of a license, and of the first on which it was none; the second
        may be empty.
    first, last : date
        The first and the last day of a listing.
    every_months : int
        Months from one listing to the next.
    date_formats : tuple of str
        As of `strptime`.
    """

    began: str
    ended: str
    first: date
    last: date
    every_months: int
    date_formats: tuple[str, ...]

    @classmethod
    def of(cls, raw: Mapping[str, Any], date_formats: tuple[str, ...]) -> Register | None:
        """Read the table of a mapping that `register_faults` passed."""
        entry = raw.get("register")
        if entry is None:
            return None
        form = entry.get("date_format", date_formats)
        return cls(
            str(entry["from"]),
            str(entry.get("to", "")),
            _day(entry["first"]),
            _day(entry["last"]),
            int(entry.get("every_months", 1)),
            (form,) if isinstance(form, str) else tuple(form),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the export that it reads: of the first day, and of the end."""
        return (self.began, self.ended) if self.ended else (self.began,)

    @property
    def sources(self) -> frozenset[str]:
        """The columns of the export that it reads."""
        return frozenset(self.columns)

    def query(self, rows: str, only: date | None = None) -> str:
        """Return SQL for the listings.

        A license of none of the days has no day. One whose dates cannot be read has what stands
        there, to be told.

        Parameters
        ----------
        rows : str
            SQL of the rows of the register.
        only : date, optional
            The one day to list instead of all.
        """
        first, last = (only, only) if only else (self.first, self.last)
        began, ended = _text(self.began), _text(self.ended) if self.ended else "NULL"
        read_from, read_to = self._read("register_from"), self._read("register_to")
        odd = "CASE WHEN register_from <> '' AND began IS NULL THEN register_from "
        odd += "WHEN register_to <> '' AND ended IS NULL THEN register_to END"
        return (
            f"WITH days AS (SELECT CAST(unnest(generate_series(DATE '{first}', DATE '{last}', "
            f"INTERVAL {self.every_months} MONTH)) AS DATE) AS listed_day), "
            f"texts AS (SELECT {as_text('COLUMNS(*)')} FROM ({rows})), "
            f"spans AS (SELECT *, {began} AS register_from, {ended} AS register_to FROM texts), "
            f"dated AS (SELECT *, {read_from} AS began, {read_to} AS ended FROM spans), "
            f"told AS (SELECT *, {odd} AS odd FROM dated) "
            "SELECT told.* EXCLUDE (register_from, register_to, began, ended, odd), "
            f"coalesce(odd, CAST(listed_day AS VARCHAR)) AS {quoted(LISTED_ON)} "
            "FROM told LEFT JOIN days ON odd IS NULL AND coalesce(began <= listed_day, true) "
            "AND coalesce(ended > listed_day, true)"
        )

    def _read(self, text: str) -> str:
        """Return SQL for a day; a mark of no date ends nothing and begins with the oldest."""
        days = f"coalesce({', '.join(reading(text, form) for form in (*self.date_formats, _ISO))})"
        return f"CASE WHEN {is_no_date_sql(days)} THEN {_UNBOUNDED[text]} ELSE {days} END"


def register_faults(raw: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the table ``[register]``."""
    entry = raw.get("register")
    if entry is None:
        return []
    if not isinstance(entry, Mapping):
        return ["register is no table of settings"]
    if raw.get("table") != "licenses":
        return ["register makes listings of licenses: it has no place in another table"]
    faults = [f"register: setting {name!r} is unknown" for name in entry.keys() - _SETTINGS]
    faults += [
        f"register needs {name!r}" for name in ("from", "first", "last") if not entry.get(name)
    ]
    if LISTED_ON in raw.get("columns", {}):
        faults.append("register makes listed_on: leave its entry out")
    months = entry.get("every_months", 1)
    if not isinstance(months, int) or not 0 < months <= 120:
        faults.append("register: every_months is a number of months from 1 to 120")
    days = []
    for name in ("first", "last"):
        try:
            days += [_day(entry[name])] if entry.get(name) else []
        except ValueError:
            faults.append(f"register: {name} {entry[name]!r} is no day such as 2026-07-01")
    if len(days) == 2 and not faults:
        n_days = ((days[1].year - days[0].year) * 12 + days[1].month - days[0].month) // months
        if not 0 <= n_days < _MOST_DAYS or days[1] < days[0]:
            faults.append(
                f"register: from first to last are {n_days:,} listings, 1 to 600 are made"
            )
    return faults


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _text(name: str) -> str:
    """Return SQL for the text of a date, empty where it is a word or a mark for none."""
    text = trimmed_sql(quoted(name))
    nothing = is_null_word_sql(text, LISTED_ON, frozenset(), is_typed=True)
    return f"CASE WHEN {nothing} OR {is_zero_date_sql(text)} THEN '' ELSE coalesce({text}, '') END"
