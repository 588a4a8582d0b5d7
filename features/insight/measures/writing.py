"""A report of measures as JSON, CSV and a page, and the snapshot that is frozen for a period."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any, Final

from features.domain.number_words import times
from features.domain.spreadsheet_formulas import neutral_row
from features.errors import InvalidValueError
from features.home import write_once
from features.insight.measures.comparison import RULE
from features.insight.measures.measure import Definition, Measured, Part, Report, registry

FOLDER: Final = "measures"
# Within it: what partners were told of a period, which never changes either.
RELEASED: Final = "released"
_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#212529}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;"
    "border-bottom:1px solid #adb5bd;vertical-align:top}td.num{text-align:right}"
)


def as_text(value: float | None, unit: str = "") -> str:
    """Write a value with the digits that matter, as a person reads its unit.

    >>> as_text(0.0467, "share"), as_text(1.0, "years"), as_text(94.0, "days"), as_text(1.536)
    ('4.67%', '1 year', '94 days', '1.54')
    >>> as_text(1.0, "times")
    '1.0 times'
    """
    if value is None:
        return "cannot be said"
    if unit == "share":
        return f"{_digits(100 * value)}%"
    text = _digits(value)
    if unit in {"years", "days"}:
        return f"{text} {unit[:-1] if text == '1' else unit}"
    return times(text) if unit == "times" else text


def part_in_words(part: Part, unit: str) -> str:
    """Say what a measure is of one of its parts.

    >>> part_in_words(Part("FGR", 60.0, 120.0, 0.5, 0.4, 0.625), "share")
    'FGR 50% (40% to 62.5%; 60 of 120)'
    """
    value, low, high = (as_text(one, unit) for one in (part.value, part.low, part.high))
    return f"{part.name} {value} ({low} to {high}; {part.n:,.0f} of {part.of:,.0f})"


def _digits(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def to_json(report: Report) -> bytes:
    """Return a report as JSON."""
    return (json.dumps(report.as_dict(), indent=1, sort_keys=True) + "\n").encode()


def to_csv(report: Report) -> bytes:
    """Return a report as CSV, one measure a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("goal", "indicator", "target", "better", "baseline", "baseline_period", "time_frame",
             "owner", "source", "formula", "caveat", "decision", "unit")  # fmt: skip
    sides = ("against_target", "against_year_before")
    first = ("period", "measure", "value", "low", "high", "verdict", "said")
    writer.writerow((*first, *names, *sides, "parts"))
    for m in report.measures:
        own = asdict(m.definition)
        numbers = ["" if n is None else n for n in (m.value, m.low, m.high)]
        writer.writerow(
            neutral_row(
                (report.period, m.definition.name, *numbers, m.verdict, m.said,
                 *(own[name] for name in names), m.against_target, m.against_year_before,
                 "; ".join(part_in_words(part, m.definition.unit) for part in m.parts))
            )
        )  # fmt: skip
    return text.getvalue().encode()


def to_html(report: Report) -> bytes:
    """Return a report as a page that needs no other file."""
    rows = "".join(_row(m) for m in report.measures)
    title = f"Measures of {report.period}"
    kind = " (public variant)" if report.is_public else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{_STYLE}</style></head><body><h1>{escape(title)}{kind}</h1>"
        f"<p>From {report.starts_on} to before {report.ends_on}, as then known. {escape(RULE)}</p>"
        "<table><thead><tr><th>Measure</th><th>Value</th><th>95% interval</th><th>Target</th>"
        "<th>Against the target</th><th>Against the year before</th><th>Baseline</th>"
        f"<th>Verdict</th><th>Decision it serves</th></tr></thead><tbody>{rows}</tbody></table>"
        "</body></html>\n"
    ).encode()


def _row(m: Measured) -> str:
    d = m.definition
    span = "" if m.low is None else f"{as_text(m.low, d.unit)} to {as_text(m.high, d.unit)}"
    cells = (
        f"{d.indicator}. {d.caveat}",
        "; ".join([as_text(m.value, d.unit), *(part_in_words(p, d.unit) for p in m.parts)]), span,
        f"{as_text(d.target, d.unit)} or {d.better}", m.against_target, m.against_year_before,
        f"{as_text(d.baseline, d.unit)} ({d.baseline_period})",
        m.verdict + (f": {m.said}" if m.said else ""), d.decision,
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def freeze(report: Report, home: Path, *, part: str = "") -> Report:
    """Keep a period's report once; a later one of the same period is the one kept.

    Of two that are kept at the same moment both get the first.

    Parameters
    ----------
    part : str
        Folder within that of the measures: `RELEASED` for what partners are told.
    """
    path = _path(home, report.period, part)
    if not path.exists():
        write_once(path, to_json(report))
    return frozen(home, report.period, part=part) or report


def frozen(home: Path, period: str, *, part: str = "") -> Report | None:
    """Return the report kept for a period, None when there is none.

    Raises
    ------
    InvalidValueError
        When the file is damaged.
    """
    path = _path(home, period, part)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _report(content)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValueError(f"The snapshot {path} cannot be read.") from error


def _path(home: Path, period: str, part: str) -> Path:
    return home / FOLDER / part / f"{period}.json"


def frozen_before(home: Path, period: str) -> list[Report]:
    """Return the reports kept for earlier periods."""
    folder = home / FOLDER
    names = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
    reports = [frozen(home, name) for name in names if name < period]
    return [report for report in reports if report is not None]


def _definition(kept: dict[str, Any]) -> Definition:
    """Return a definition as kept; one of before there were units has the unit of today.

    Only what is worked out as it was then: another formula may have another unit.
    """
    units = {(one.name, one.formula): one.unit for one in registry()}
    unit = units.get((kept["name"], kept["formula"]), "")
    return Definition(**({"unit": unit} | kept))


def _report(content: dict[str, Any]) -> Report:
    measures = tuple(
        Measured(
            **{**m, "definition": _definition(m["definition"]),
               "trend": tuple((p, v) for p, v in m["trend"]),
               "parts": tuple(Part(**part) for part in m.get("parts", ()))}
        )
        for m in content["measures"]
    )  # fmt: skip
    return Report(**{**content, "measures": measures})
