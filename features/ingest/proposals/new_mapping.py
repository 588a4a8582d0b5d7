"""A mapping proposed from the header and the values of an export, for a clerk to complete."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from features.contract import contract
from features.errors import SourceError
from features.ingest.opening import open_raw
from features.ingest.proposals.values import (
    code_lines,
    date_lines,
    key_lines,
    number_lines,
    place_lines,
    toml,
)
from features.reference.destinations import COUNTRY_COLUMNS, countries
from features.schema import TABLES, Column
from features.sources.agency.database import Database, is_database, pulled, tables_of
from features.sources.agency.register import LISTED_ON
from features.sources.files.archive import Found, expand
from features.sources.files.source_file import inspect
from features.sources.layout import Layout
from features.sources.privacy import refuse_persons
from features.sources.publishers import canonical
from features.sources.publishers.listing import STATE_FIPS
from features.sources.rows import json_document, json_lines
from features.sources.rows.delimited import LINES, TextForm
from features.sources.rows.dialect import forms
from features.sql import as_text, quoted

_N_VALUES: Final = 200
_NEAR: Final = 0.72
_N_SHOWN: Final = 3
_N_NAMED: Final = 10
_LIKE_DAY: Final = re.compile(r"\s*[0-9]{1,4}[-/. ]+\w{1,12}[-/. ]+[0-9]{2,4}\b")
_LONGEST: Final = 30
# Words of other systems for the words of the contract.
_WORDS: Final = {
    "ffl": "dealer", "licensee": "dealer", "licence": "license", "lic": "license",
    "nbr": "id", "nr": "id", "no": "id", "num": "id", "number": "id", "key": "id", "case": "trace",
    "dt": "on", "date": "on", "day": "on", "req": "requested", "request": "requested",
    "completion": "completed", "complete": "completed", "closed": "closed", "recovery": "recovered",
    "recov": "recovered", "purchase": "sold", "sale": "sold", "sell": "sold", "ctry": "country",
    "st": "state", "weapon": "firearm", "gun": "firearm", "make": "manufacturer",
    "mfr": "manufacturer", "result": "outcome", "disposition": "outcome", "qty": "n",
    "quantity": "n", "count": "n", "ori": "requester", "agency": "requester", "cal": "caliber",
    "lat": "latitude", "lon": "longitude", "lng": "longitude", "postal": "zip", "zipcode": "zip",
    "insp": "inspection", "inspections": "inspection", "kind": "type", "start": "opened",
    "started": "opened", "begin": "opened", "open": "opened", "end": "closed", "close": "closed",
    "ended": "closed", "trade": "business", "shop": "business", "inspector": "investigator",
    "report": "reported", "discovery": "discovered", "as": "listed", "of": "on",
    "snapshot": "listed", "seizure": "seized", "guns": "firearms", "wpn": "firearm",
    "mth": "month", "mon": "month", "hash": "token", "category": "type", "hrs": "hours",
    "cnty": "county", "addr": "street", "address": "street", "prem": "premises", "cfr": "",
    "cite": "citation", "cited": "citation", "times": "instances", "action": "outcome",
    "dispo": "outcome", "how": "by", "ioi": "investigator", "typ": "type", "ser": "serial",
    "buyer": "purchaser", "nics": "", "lost": "firearms", "stolen": "firearms",
}  # fmt: skip
_OF_TABLE: Final[Mapping[str, Mapping[str, str]]] = {
    "traces": {
        "received": "requested", "recd": "requested", "rcvd": "requested", "closed": "completed",
        "submitted": "requested", "purch": "sold", "rec": "recovered", "stat": "status",
    },
    "multiple_sales": {
        "received": "reported", "recd": "reported", "rcvd": "reported", "rpt": "reported",
        "form": "type", "purch": "sold",
    },
    "thefts_losses": {"rpt": "reported", "received": "reported", "recd": "reported"},
    "violations": {"rpt": "repeat", "repeated": "repeat", "section": "citation"},
    "sales_volume": {"transfers": "checks"},
    "tips": {"recd": "received", "rcvd": "received"},
}  # fmt: skip


_REGISTER: Final = [
    "# ? no column looks like listed_on, the day of the listing. Give it with each file "
    "(--listed-on), here, or,",
    "# where there is one row a license for good, let its days make the listings:",
    "# [columns.listed_on]",
    '# from = ""',
    "# [register]",
    '# from = "DAY OF THE GRANT"',
    '# to = "DAY OF THE END"',
    '# date_format = "%m/%d/%Y"',
    '# first = "2020-01-01"',
    '# last = "2026-01-01"',
    "# every_months = 1",
]


@dataclass(frozen=True)
class _Match:
    column: Column
    source: str
    values: Counter[str]


def propose(path: Path, table: str, sheet: str = "") -> str:
    """Return a mapping of `path` for `table` as TOML.

    Parameters
    ----------
    path : Path
        An export.
    table : str
        The table that it holds.
    sheet : str, optional
        Which sheet of a workbook of several, or which table of a database.

    Raises
    ------
    SourceError
        When the file cannot be read, or carries data about persons.
    """
    told, path = contract(table), Path(path)
    with tempfile.TemporaryDirectory(prefix="ffl-risk-mapping-") as folder:
        asked = _asked(path, table, sheet) if is_database(path) else None
        if asked:
            found = pulled(asked, [path], Path(folder) / "asked").found[0]
        else:
            found = _one(path, expand([path], Path(folder) / "unpacked").found, sheet, table)
        names, values, delimiter, encoding = _read(found, table, Path(folder) / "records")
    matches = _matched(table, names, values)
    lines = [
        f"# Proposed for {Path(path).name}. Lines that begin with '# ?' are questions.",
        f"# `ffl-risk contract {table}` lists the columns and codes.",
        f'table = "{table}"',
    ]
    if found.sheet:
        lines.append(f"sheet = {toml(found.sheet)}")
    if delimiter and delimiter != ",":
        lines.append(f"delimiter = {toml(delimiter)}")
    if encoding:
        lines.append(f'encoding = "{encoding}"  # ? the text is not UTF-8')
    lines += _doubts_of_header(names)
    if asked:
        lines += ["", "[database]", f"query = '''{asked.query}'''", ""]
    unused = [name for name in names if name not in {m.source for m in matches.values()}]
    if unused:
        lines.append("# Columns of the export that nothing reads:")
        lines += [f"#   {name}{_samples(values[name])}{_format(values[name])}" for name in unused]
    for column in TABLES[table].columns:
        lines += ["", *_entry(column, matches.get(column.name), told)]
    return "\n".join(lines) + "\n"


def _asked(path: Path, table: str, name: str) -> Database:
    """Return the query for the table of a database that looks most like `table`, or is named."""
    held = tables_of(path)
    if (name and name not in held) or not held:
        raise SourceError(
            f"{path.name} holds " + (f"no table called {name!r}." if held else "no table."),
            found=", ".join(held) or "nothing",
            fix="name one of its tables or views with --sheet",
        )
    fitting = {one: _n_fitting(columns, table) for one, columns in held.items()}
    chosen = name or max(held, key=lambda one: (fitting[one], len(held[one])))
    columns = ", ".join(quoted(column) for column in held[chosen])
    return Database(f"SELECT {columns} FROM {quoted(chosen)}")


def _doubts_of_header(names: list[str]) -> list[str]:
    """Return questions about a first line that does not look like headings."""
    if len(names) == 1:
        return [
            "# ? one column alone was found. Name its separator as `delimiter`, or for lines of "
            "fixed width",
            "# [fixed_width]",
            "# NAME = [1, 8]",
        ]
    if any(map(_is_value, names)):
        named = ", ".join(toml(f"NAME_{n}") for n in range(1, len(names) + 1))
        return [
            "# ? the first line looks like a row. Where there are no headings, name the columns:",
            f"# header = [{named}]",
        ]
    return []


def _is_value(name: str) -> bool:
    """Tell a number or a day from a heading; a year may be one."""
    return bool(re.fullmatch(r"[-+$]?[0-9][0-9.,/:T -]*%?", name)) and len(name) != 4


def _one(path: Path, found: list[Found], sheet: str, table: str) -> Found:
    """Return the one table under `path`, the sheet that is asked for, or the first of files alike.

    Files of one archive or folder that have the same columns are read through one mapping.
    """
    chosen = [file for file in found if not sheet or file.sheet == sheet]
    if len(chosen) == 1:
        return chosen[0]
    is_workbook = any(file.sheet for file in found)
    if chosen and not is_workbook:
        columns = [_columns(file, table) for file in chosen]
        if columns[0] and all(names == columns[0] for names in columns):
            return chosen[0]
    named = ", ".join(repr(file.sheet or file.name) for file in found[:_N_NAMED])
    more = f" and {len(found) - _N_NAMED:,} more" if len(found) > _N_NAMED else ""
    raise SourceError(
        f"{path} holds {len(found)} tables"
        + (f", none called {sheet!r}." if sheet else " that are not alike."),
        found=named + more,
        fix="say which one with --sheet"
        if is_workbook
        else "unpack it, sort files of the same columns together, and propose one of each kind",
    )


def _columns(file: Found, table: str) -> list[str]:
    """Return the columns of one of several files; nothing where only a closer look tells them."""
    source = inspect(file.path, file.name)
    if source.form != "text" or json_document.is_document(source):
        return []
    if json_lines.is_json_lines(source):
        return []
    return _likeliest(list(forms(source, None if source.is_utf8 else "cp1252")), table)[1]


def _read(
    file: Found, table: str, folder: Path
) -> tuple[list[str], dict[str, Counter[str]], str, str]:
    """Return the columns of a file, their values, its separator and its encoding if not UTF-8."""
    source, name = inspect(file.path, file.name), file.name
    if json_document.is_document(source):
        source = json_document.as_lines(source, folder)
    with duckdb.connect() as con, ExitStack() as opened:
        form, encoding, rows = None, "", "raw"
        inside: tuple[str, ...] = ()
        if json_lines.is_json_lines(source):
            keys = json_lines.keys_of(source)
            names, inside = keys.names, keys.inside_lists
            rows = json_lines.relation(keys, names)
            form = LINES
        elif source.form == "text":
            encoding = "" if source.is_utf8 else "cp1252"
            form, names = _likeliest(list(forms(source, encoding or None)), table)
        else:
            import pyarrow.parquet as pq

            names = list(pq.read_schema(file.path).names)
        refuse_persons(name, table, [*names, *inside])
        held = [json_lines.TEXT] if rows != "raw" else names
        open_raw(con, source, Layout("proposal", (), form), held, opened)
        values = {
            column: Counter(dict(
                con.execute(
                    f"SELECT {as_text(quoted(column))} AS v, count(*) FROM {rows} AS r "
                    "WHERE v IS NOT NULL GROUP BY v ORDER BY 2 DESC, 1"
                ).fetchmany(_N_VALUES)
            ))
            for column in names
        }  # fmt: skip
    return names, values, form.delimiter if form and rows == "raw" else "", encoding


def _likeliest(tried: list[tuple[TextForm, list[str]]], table: str) -> tuple[TextForm, list[str]]:
    """Return the header among the first lines: the one with the most names that look like columns.

    Of two that are as good the first counts, and of none the one with the most names. A row is none
    for one word of its own that looks like a column (``BY``), nor one that holds numbers or days.
    """

    def fitness(item: tuple[TextForm, list[str]]) -> tuple[int, int]:
        names = [name for name in item[1] if not re.fullmatch(r"column_\d+", name)]
        n_fitting = _n_fitting(names, table) - sum(map(_is_value, names))
        return (0 if n_fitting == 1 else n_fitting), len(names)

    if not tried:
        raise SourceError("The export holds no header.", expected="a header line and rows")
    return max(tried, key=fitness)


def _n_fitting(names: list[str], table: str) -> int:
    """Return how many names look like columns of `table`."""
    columns = [c.name for c in TABLES[table].columns]
    return sum(max(_nearness(c, name, table) for c in columns) >= _NEAR for name in names)


def _samples(values: Counter[str]) -> str:
    """Return the commonest values of a column, for the eye; no long sign that may be a hash."""
    told = [value for value in values if len(value) <= _LONGEST][:_N_SHOWN]
    return f" ({', '.join(told)}{', ...' if len(values) > len(told) else ''})" if told else ""


def _format(values: Counter[str]) -> str:
    """Return how the dates of a column are written, where it holds dates alone.

    >>> _format(Counter({"21.08.2023": 2})), _format(Counter("ab"))
    (': date_format = "%d.%m.%Y"', '')
    """
    texts = [text for text in values if text.strip()]
    if not texts or not all(map(_LIKE_DAY.match, texts)):
        return ""
    told = [line for line in date_lines(values) if not line.startswith("#")]
    return f": {told[0]}" if told else ""


def _words(name: str, table: str) -> list[str]:
    """Return the words of a name in those of the contract.

    >>> _words("Date Rec'd", "traces"), _words("requested_on", "traces")
    (['on', 'requested'], ['requested', 'on'])
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("'", ""))
    found = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    known = {**_WORDS, **_OF_TABLE.get(table, {})}
    return [word for word in (known.get(word, word) for word in found) if word]


def _nearness(name: str, source: str, table: str) -> float:
    if name == source.lower():
        return 2.0
    mine, other = _words(name, table), _words(source, table)
    shared = len(set(mine) & set(other)) / max(len(set(mine) | set(other)), 1)
    letters = difflib.SequenceMatcher(None, " ".join(mine), " ".join(other)).ratio()
    return max(letters, 0.5 + shared / 2 if shared >= 0.5 else 0.0)


def _matched(table: str, names: list[str], values: dict[str, Counter[str]]) -> dict[str, _Match]:
    """Give each column of the contract the nearest column of the export, the surest first."""
    pairs = sorted(
        (
            (_nearness(column.name, name, table), n, column.name, name)
            for n, column in enumerate(TABLES[table].columns)
            for name in names
        ),
        key=lambda pair: (-pair[0], *pair[1:]),
    )
    matches: dict[str, _Match] = {}
    used: set[str] = set()
    for near, _, column, name in pairs:
        if near >= _NEAR and column not in matches and name not in used:
            matches[column] = _Match(TABLES[table].column(column), name, values[name])
            used.add(name)
    return matches


def _entry(column: Column, match: _Match | None, told: Any) -> list[str]:
    note = next(c for c in told.columns if c.name == column.name)
    if match is None:
        if column.name not in canonical.needed(told.name, ["license_number"]):
            return [f"# {column.name}: nothing found for it; {note.meaning} ({note.unit})"]
        if column.name == LISTED_ON:
            return _REGISTER
        constant = f'constant = "{note.example}"' if column.allowed else 'from = ""'
        return [
            f"# ? {column.name} is required and no column looks like it: {note.meaning}",
            f"# [columns.{column.name}]",
            f"# {constant}",
        ]
    lines = [f"[columns.{column.name}]", f"from = {toml(match.source)}"]
    if column.kind == "date":
        lines += date_lines(match.values, is_month=column.name == "month")
    if column.kind in ("number", "integer"):
        lines += number_lines(match.values, is_whole=column.kind == "integer")
    if column.allowed:
        lines += code_lines(column, match.values)
    lines += key_lines(column, match.values)
    if column.name in COUNTRY_COLUMNS:
        lines += place_lines(match.values, countries())
    if column.name == "premises_state":
        lines += place_lines(match.values, dict.fromkeys(STATE_FIPS, ""))
    return lines
