"""One format for the dates of a column: no row is read by guesswork.

``04/05/2024`` is a day in April or in May. Where a mapping names both formats, what the other rows
of the column hold decides: a format that reads every row that any of its rivals reads is the
column's. Where none does, or where two do and differ, the file is refused with both readings shown.
Formats whose texts cannot be mistaken for each other's (``2024-05-04`` and ``04-May-2024``) are no
rivals and may stand in one column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from features.sources.rows.month_names import english_months
from features.sql import literal, quoted

# Days since the epoch of a spreadsheet, of Windows and of old Macs.
SERIALS: Final = ("excel", "excel-1904")
_EPOCHS: Final = {"excel": "1899-12-30", "excel-1904": "1904-01-01"}
_OFFSET: Final = "(Z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})$"
_SHAPES: Final = {"d": "N", "m": "N", "Y": "Y", "y": "Y", "b": "B", "B": "B", "-d": "N", "-m": "N"}


@dataclass(frozen=True)
class DateChoice:
    """The dates of one column and the formats that they may be written in.

    Parameters
    ----------
    column : str
        Column of the contract.
    text : str
        SQL of the text.
    formats : tuple of str
        As of `strptime`.
    """

    column: str
    text: str
    formats: tuple[str, ...]


def date_sql(text: str, formats: Sequence[str]) -> str:
    """Return SQL for the ISO text of a date; what no format reads stays as it was, to be told."""
    tries = ", ".join(reading(text, form) for form in formats)
    return f"coalesce(CAST(coalesce({tries}) AS VARCHAR), {text})"


def reading(text: str, form: str, named: str = "") -> str:
    """Return SQL for the date that `form` reads; a year of two digits is none of four.

    The first day that a program can hold is read, because it is a mark of no date. A serial number
    of a spreadsheet is a day from 1927 (1931) on: a shorter one is a number or a mark of no date.
    A moment with its distance from UTC (``%z``) is the day that is written, in no other zone.
    A month by its name may be in English or in another language of the continent and of Europe;
    `named` is SQL of the text that has it in English, where that is made already.
    """
    if form.endswith("%z"):
        text, form = f"regexp_replace({text}, {literal(_OFFSET)}, '')", form.removesuffix("%z")
    if form in SERIALS:
        is_serial = f"regexp_full_match({text}, '[1-9][0-9]{{4}}([.][0-9]+)?')"
        days = f"CAST(floor(TRY_CAST({text} AS DOUBLE)) AS INTEGER)"
        return f"CASE WHEN {is_serial} THEN DATE '{_EPOCHS[form]}' + {days} END"
    parsed = f"TRY_STRPTIME({text}, {literal(form)})"
    if re.search("%[bB]", form):
        named = named or english_months(text, form)
        parsed = f"coalesce({parsed}, TRY_STRPTIME({named}, {literal(form)}))"
    day = f"CAST({parsed} AS DATE)"
    return f"CASE WHEN year({day}) >= 1500 OR {day} = DATE '0001-01-01' THEN {day} END"


def settle(con: Any, rows: str, choices: Sequence[DateChoice]) -> tuple[dict[str, str], list[str]]:
    """Return the SQL of each column in its settled formats, and what could not be settled.

    Parameters
    ----------
    con : duckdb connection
        Where `rows` can be read, more than once.
    rows : str
        SQL relation of the file.
    choices : sequence of DateChoice
        The columns.
    """
    settled, faults = {}, []
    for choice in choices:
        kept: list[str] = []
        con.execute(
            "CREATE OR REPLACE TEMP TABLE date_texts AS SELECT text, count(*) AS n, "
            + ", ".join(
                f"any_value({reading('text', form)}) AS {quoted(form)}" for form in choice.formats
            )
            + f" FROM (SELECT {choice.text} AS text FROM {rows} AS source_rows) "
            "WHERE text IS NOT NULL GROUP BY text"
        )
        for rivals in _rivals(con, choice.formats):
            winner = _winner(con, rivals)
            if winner:
                kept.append(winner)
            else:
                faults.append(f"{choice.column}: {_both_readings(con, rivals)}")
        settled[choice.column] = date_sql(choice.text, kept or choice.formats)
    return settled, faults


def _shape(form: str) -> str:
    return re.sub(r"%(-?[A-Za-z])", lambda m: _SHAPES.get(m[1], m[1]), form)


def _rivals(con: Any, formats: Sequence[str]) -> list[list[str]]:
    """Return the formats in groups whose readings may be mistaken for each other."""
    groups = [[form] for form in formats]
    for one, two in combinations(formats, 2):
        if _shape(one) == _shape(two) or _n_different(con, one, two):
            first = next(g for g in groups if one in g)
            second = next(g for g in groups if two in g)
            if first is not second:
                first += second
                groups.remove(second)
    return groups


def _n_different(con: Any, one: str, two: str) -> int:
    return int(
        con.execute(
            f"SELECT count(*) FROM date_texts WHERE {quoted(one)} <> {quoted(two)}"
        ).fetchone()[0]
    )


def _winner(con: Any, rivals: list[str]) -> str:
    """Return the one format that reads every row that any of `rivals` reads, or nothing."""
    any_of = " OR ".join(f"{quoted(form)} IS NOT NULL" for form in rivals)
    winners = [
        form
        for form in rivals
        if not con.execute(
            f"SELECT count(*) FROM date_texts WHERE ({any_of}) AND {quoted(form)} IS NULL"
        ).fetchone()[0]
    ]
    if any(_n_different(con, one, two) for one, two in combinations(winners, 2)):
        return ""
    return winners[0] if winners else ""


def _both_readings(con: Any, rivals: list[str]) -> str:
    """Show a text that has two readings, or one that only each of two formats reads."""
    told = []
    for one, two in combinations(rivals, 2):
        a, b = quoted(one), quoted(two)
        row = con.execute(
            f"SELECT text, {a}, {b} FROM date_texts WHERE {a} <> {b} ORDER BY n DESC, text LIMIT 1"
        ).fetchone()
        if row:
            told.append(f"{row[0]!r} is {row[1]} by {one} and {row[2]} by {two}")
        for form, other in ((one, two), (two, one)):
            only = con.execute(
                f"SELECT text, n FROM date_texts WHERE {quoted(form)} IS NOT NULL "
                f"AND {quoted(other)} IS NULL ORDER BY n DESC, text LIMIT 1"
            ).fetchone()
            if only:
                told.append(f"{only[0]!r} is a date by {form} alone")
    return "; ".join(told)
