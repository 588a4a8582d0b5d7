"""Spreadsheets: dates are dates, shares are per cent, no cell can become a formula."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from features.abandonment import check
from features.domain.spreadsheet_formulas import neutral

Kind = Literal["text", "date", "percent", "number", "whole"]
Value = str | float | date | None

_FORMATS: Final[dict[Kind, str]] = {
    "text": "@",
    "date": "yyyy-mm-dd",
    "percent": "0.0##%",
    "number": "#,##0.###",
    "whole": "#,##0",
}
_DIGITS: Final = 3


@dataclass(frozen=True)
class Field:
    """One column of a sheet.

    Parameters
    ----------
    heading : str
        As a person reads it.
    kind : {"text", "date", "percent", "number", "whole"}
        Shares of ``percent`` are given from 0 to 1; they and numbers keep three significant digits.
    width : float
        In characters.
    """

    heading: str
    kind: Kind = "text"
    width: float = 14.0


@dataclass(frozen=True)
class Sheet:
    """One sheet: its name, its columns and one row of values a line."""

    name: str
    fields: Sequence[Field]
    rows: Sequence[Sequence[Value]]
    n_frozen: int = 2


def book(sheets: Sequence[Sheet], *, about: Sequence[str], created: datetime) -> bytes:
    """Return a spreadsheet; what must be said with it stands on a sheet of its own, ``About``.

    Parameters
    ----------
    sheets : sequence of Sheet
    about : sequence of str
        The first line is also the title.
    created : datetime
        Of what is written, not of the file: the same content gives the same bytes.
    """
    import xlsxwriter

    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    made = xlsxwriter.Workbook(out, options)
    made.set_properties({"title": about[0], "created": created})
    head = made.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    formats = {
        kind: made.add_format({"num_format": shown, "valign": "top", "text_wrap": kind == "text"})
        for kind, shown in _FORMATS.items()
    }
    for one in sheets:
        page = made.add_worksheet(one.name)
        for j, field in enumerate(one.fields):
            page.write_string(0, j, field.heading, head)
            page.set_column(j, j, field.width)
        for i, row in enumerate(one.rows, start=1):
            check()
            for j, (field, value) in enumerate(zip(one.fields, row, strict=True)):
                _write(page, i, j, value, kind=field.kind, formats=formats)
        page.freeze_panes(1, one.n_frozen)
        page.autofilter(0, 0, max(1, len(one.rows)), len(one.fields) - 1)
        page.set_landscape()
        page.fit_to_pages(1, 0)
        page.repeat_rows(0)
        page.set_footer("&L" + about[0].replace("&", "&&")[:80] + "&RPage &P of &N")
    page = made.add_worksheet("About")
    page.set_column(0, 0, 110)
    for n, line in enumerate(about):
        page.write_string(n, 0, neutral(line), formats["text"])
    check()  # closed as a context it would be written to its end all the same
    made.close()
    return out.getvalue()


def _write(page, i, j, value, *, kind, formats) -> None:  # type: ignore[no-untyped-def]
    if value is None or value == "":
        return
    if isinstance(value, str):
        page.write_string(i, j, neutral(value), formats["text"])
    elif isinstance(value, date):
        page.write_datetime(i, j, datetime(value.year, value.month, value.day), formats["date"])  # noqa: DTZ001 - a day has no zone
    else:
        shown = value if kind == "whole" else significant(value)
        page.write_number(i, j, shown, formats[kind])


def significant(value: float) -> float:
    """Return a number with the digits that matter, three of them.

    >>> significant(0.123456), significant(1234.6), significant(-3.14159)
    (0.123, 1235.0, -3.14)
    """
    if value == 0:
        return 0.0
    return float(f"{value:.0f}") if abs(value) >= 100 else float(f"{value:.{_DIGITS}g}")
