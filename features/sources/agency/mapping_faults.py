"""What is wrong with a mapping file, all of it at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import duckdb

from features.errors import did_you_mean
from features.schema import SET_ASIDE_TYPES, TABLES, Column
from features.sources.agency.database import database_faults
from features.sources.agency.register import LISTED_ON, register_faults
from features.sources.publishers import canonical
from features.sources.rows.dates import SERIALS

ENCODINGS: Final = ("utf-8", "latin-1", "cp1252")
KNOWN_ON: Final = Column("known_on", "date", is_required=False)
_TOP: Final = {
    "table", "columns", "date_format", "delimiter", "encoding", "description", "fixed_width",
    "join", "query", "database", "sheet", "header", "register",
}  # fmt: skip
_PER_COLUMN: Final = {
    "from", "date_format", "values", "values_from", "other", "constant", "default", "pad",
    "separator", "part", "decimal", "thousands",
}  # fmt: skip
_JOIN: Final = {"file", "key", "left", "right", "sheet"}


def column_of(table: str, name: str) -> Column:
    """Return a column of the contract, or ``known_on``."""
    return KNOWN_ON if name == "known_on" else TABLES[table].column(name)


def formats_of(value: Any) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def text_of(value: object) -> str:
    """Return a value of TOML as it would be typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def faults_of(raw: Mapping[str, Any], codes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return a sentence for each fault of a mapping."""
    table = str(raw.get("table"))
    if table not in TABLES:
        return [f"table {table!r} is unknown{did_you_mean(table, TABLES)}"]
    faults = [f"setting {k!r} is unknown{did_you_mean(k, _TOP)}" for k in raw.keys() - _TOP]
    if raw.get("encoding", "utf-8") not in ENCODINGS:
        faults.append(f"encoding {raw['encoding']!r} is none of {', '.join(ENCODINGS)}")
    if not re.fullmatch(r"[^\w\"\n\r]", str(raw.get("delimiter", ","))):
        faults.append(f"delimiter {raw['delimiter']!r} is not one separating sign")
    columns = raw.get("columns", {})
    if not isinstance(columns, dict):
        return [*faults, "columns is no table of entries"]
    known = (*TABLES[table].names, *canonical.EXTRA)
    for name, entry in columns.items():
        if name not in known:
            faults.append(f"{table} has no column {name!r}{did_you_mean(name, known)}")
        elif not isinstance(entry, dict) or ("from" in entry) == ("constant" in entry):
            faults.append(f"columns.{name} needs either 'from' or 'constant'")
        else:
            faults += _entry_faults(column_of(table, name), entry, codes.get(name, {}))
    faults += _date_faults("", raw) + _shape_faults(raw) + _query_faults(raw)
    faults += database_faults(raw) + register_faults(raw)
    # The day of a listing may be given with each file.
    missing = sorted(canonical.needed(table, columns) - {*columns, LISTED_ON})
    return faults + [f"required column {name!r} has no entry" for name in missing]


def _entry_faults(column: Column, entry: Mapping[str, Any], codes: Mapping[str, str]) -> list[str]:
    where = f"columns.{column.name}"
    faults = [
        f"{where}: setting {k!r} is unknown{did_you_mean(k, _PER_COLUMN)}"
        for k in entry.keys() - _PER_COLUMN
    ]
    made: list[object] = [*entry.get("values", {}).values(), *codes.values()]
    made += [entry[k] for k in ("other", "constant", "default") if k in entry]
    if column.allowed:
        set_aside = SET_ASIDE_TYPES if column.name == "license_type" else ()
        wrong = sorted({text_of(v) for v in made} - column.allowed - {"", *set_aside})
        faults += [
            f"{where}: {v!r} is no code of the contract{did_you_mean(v, column.allowed)}"
            for v in wrong
        ]
    faults += _date_faults(where, entry, is_month=column.name == "month")
    pads = entry.get("pad", [])
    n_from = len(formats_of(entry.get("from", ())))
    if isinstance(pads, list) and pads and len(pads) != n_from:
        faults.append(f"{where}: pad has {len(pads)} widths for {n_from} columns")
    if any(not isinstance(w, int) or not 0 < w < 100 for w in formats_of_widths(pads)):
        faults.append(f"{where}: pad is a number of signs, or a list of them")
    part = entry.get("part")
    if part is not None and not (
        isinstance(part, dict)
        and set(part) == {"separator", "number"}
        and part["separator"]
        and isinstance(part["number"], int)
        and part["number"] > 0
    ):
        faults.append(f"{where}: part needs a separator and a number from 1")
    return faults


def formats_of_widths(pads: Any) -> Iterable[Any]:
    """Return one width or several as a list."""
    return pads if isinstance(pads, list) else [pads]


def _date_faults(where: str, entry: Mapping[str, Any], *, is_month: bool = False) -> list[str]:
    """Return what is wrong with formats of dates, tried on one day; a month needs no day."""
    faults = []
    day = "2024-05-01" if is_month else "2024-05-31"
    for form in formats_of(entry.get("date_format", ())):
        if form in SERIALS:
            continue
        try:
            row = duckdb.execute(
                "SELECT strptime(strftime($2::DATE, $1), $1)::DATE = $2::DATE",
                [form, day],
            ).fetchone()
            is_whole = row is not None and bool(row[0])
        except duckdb.Error:
            is_whole = False
        if not is_whole:
            faults.append(
                f"{where or 'the mapping'}: date_format {form!r} does not hold a day, a month and "
                "a year, as %m/%d/%Y does"
            )
    return faults


def _shape_faults(raw: Mapping[str, Any]) -> list[str]:
    faults = []
    for name, span in raw.get("fixed_width", {}).items():
        is_span = isinstance(span, list) and len(span) == 2 and 0 < span[0] <= span[1]
        if not is_span:
            faults.append(f"fixed_width.{name} needs the first and last sign, such as [1, 15]")
    header = raw.get("header", ["A"])
    is_list = isinstance(header, list) and all(isinstance(n, str) and n.strip() for n in header)
    if not is_list or not header or len(set(header)) < len(header):
        faults.append("header is a list of the names of the columns, each of them once")
    if "header" in raw and raw.get("fixed_width"):
        faults.append("header and fixed_width both name the columns: leave one")
    for join in raw.get("join", []):
        keys = set(join) if isinstance(join, dict) else set()
        if "file" not in keys or not ({"key"} <= keys or {"left", "right"} <= keys) or keys - _JOIN:
            faults.append("join needs 'file', and 'key' or both 'left' and 'right'")
    return faults


def _query_faults(raw: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the query: it must be one SELECT."""
    query = str(raw.get("query", ""))
    if not query:
        return []
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        return [f"query is no SQL: {str(error).splitlines()[0]}"]
    is_select = len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT
    return [] if is_select else ["query must be one SELECT"]
