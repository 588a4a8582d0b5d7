"""Names of things that are whole numbers, as programs that know only floats leave them.

A program that reads a column of whole numbers with a hole in it makes floats of them: ``123.0`` is
the trace ``123``, and as a name of its own it would be found nowhere.
"""

from __future__ import annotations

import re
from typing import Final

NAMES: Final = frozenset(
    {
        *("trace_id", "inspection_id", "report_id", "seizure_id", "lead_id", "tip_id", "hold_id"),
        *("list_id", "office", "port_code", "crime_code", "requester"),
    }
)
_FLOAT: Final = "[0-9]+[.]0"


def whole_sql(text: str) -> str:
    """Return SQL for the name `text`, a whole number with nothing behind it as that number."""
    is_float = f"ends_with({text}, '.0') AND regexp_full_match({text}, '{_FLOAT}')"
    return f"CASE WHEN {is_float} THEN left({text}, length({text}) - 2) ELSE {text} END"


def whole(text: str) -> str:
    """Return the name `text`, a whole number with nothing behind it as that number.

    >>> whole("123.0"), whole("1.00"), whole("A.0")
    ('123', '1.00', 'A.0')
    """
    return text[:-2] if re.fullmatch(_FLOAT, text) else text


def port_sql(text: str) -> str:
    """Return SQL for the code of a port of entry: four digits, of which a zero may be eaten."""
    found = whole_sql(text)
    return (
        f"CASE WHEN regexp_full_match({found}, '[0-9]{{3}}') THEN '0' || {found} ELSE {found} END"
    )


def port(text: str) -> str:
    """Return the code of a port of entry; no code begins with two zeros.

    >>> port("304"), port("2304.0"), port("Laredo")
    ('0304', '2304', 'Laredo')
    """
    found = whole(text)
    return "0" + found if re.fullmatch("[0-9]{3}", found) else found
