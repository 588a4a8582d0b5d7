"""The monthly license listing of the publisher, in each layout in which it was ever given out.

All hold the same columns: a header with blanks or with underscores in its names, tabs or commas,
with or without a rule line of dashes; lines of fixed width or fields between bars, without a
header, as members download it. Half a year of 2014 came without the expiry code; the dealer is
known there, the number is not. Phones and the mailing street are never stored.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date
from itertools import accumulate
from typing import Final

from features.domain.asof import parse_date
from features.domain.county import county_today_sql
from features.domain.license_number import NUMBER_PATTERN, expires_on_sql
from features.domain.missing_values import is_null_word_sql
from features.errors import SourceError
from features.schema import SET_ASIDE_TYPES
from features.sources.files.source_file import SourceFile
from features.sources.layout import Layout, Plan
from features.sources.rows.delimited import DELIMITERS, TextForm, head_lines
from features.sources.rows.dialect import is_rule
from features.sql import literal

COLUMNS: Final = (
    "lic_regn", "lic_dist", "lic_cnty", "lic_type", "lic_xprdte", "lic_seqn", "license_name",
    "business_name", "premise_street", "premise_city", "premise_state", "premise_zip_code",
    "mail_street", "mail_city", "mail_state", "mail_zip_code", "voice_phone",
)  # fmt: skip
# What members' downloads hold beyond the listing: letters of authorization, which end a license.
_MORE: Final = ("loa_issue_date", "loa_expiration_date", "loa_flag")
REQUIRED: Final = frozenset(COLUMNS) - {
    "voice_phone", "mail_street", "mail_city", "mail_state", "mail_zip_code", "business_name",
    "lic_xprdte", "premise_zip_code",
}  # fmt: skip
_PARTS: Final = {"lic_dist": 2, "lic_cnty": 3, "lic_type": 2, "lic_seqn": 5}
# Widths of the members' download of fixed width, in signs.
_WIDTHS: Final = (1, 2, 3, 2, 2, 5, 50, 50, 50, 30, 2, 9, 50, 30, 2, 9, 10, 8, 8, 1)
_WHOLE: Final = "license_number"
_COMPACT: Final = re.compile(r"[1-9]\d{7}\d[A-M][0-9A-Z]\d{4}")
ENCODING: Final = "latin-1"

# FIPS codes of states and territories (FIPS 5-2, and INCITS 38 for the territories).
STATE_FIPS: Final = {
    "AL": "01", "AK": "02", "AZ": "04", "AR": "05", "CA": "06", "CO": "08", "CT": "09", "DE": "10",
    "DC": "11", "FL": "12", "GA": "13", "HI": "15", "ID": "16", "IL": "17", "IN": "18", "IA": "19",
    "KS": "20", "KY": "21", "LA": "22", "ME": "23", "MD": "24", "MA": "25", "MI": "26", "MN": "27",
    "MS": "28", "MO": "29", "MT": "30", "NE": "31", "NV": "32", "NH": "33", "NJ": "34", "NM": "35",
    "NY": "36", "NC": "37", "ND": "38", "OH": "39", "OK": "40", "OR": "41", "PA": "42", "RI": "44",
    "SC": "45", "SD": "46", "TN": "47", "TX": "48", "UT": "49", "VT": "50", "VA": "51", "WA": "53",
    "WV": "54", "WI": "55", "WY": "56", "AS": "60", "GU": "66", "MP": "69", "PR": "72", "VI": "78",
}  # fmt: skip

_NAMES: Final = (
    re.compile(
        r"(?<!\d)(?P<year>20\d\d)(?P<sign>[-_. ]?)(?P<month>0[1-9]|1[0-2])"
        r"(?:(?P=sign)(?P<day>0[1-9]|[12]\d|3[01]))?(?!\d)"
    ),
    re.compile(r"(?<!\d)(?P<month>0[1-9]|1[0-2])(?P<year>\d\d)-?ffl-?list"),
)
_ALIASES: Final = {
    "premise_zip": "premise_zip_code", "premises_zip_code": "premise_zip_code",
    "premises_zip": "premise_zip_code", "mail_zip": "mail_zip_code",
    "premises_street": "premise_street", "premises_city": "premise_city",
    "premises_state": "premise_state", "lic_region": "lic_regn", "lic_district": "lic_dist",
    "lic_county": "lic_cnty", "lic_xprdate": "lic_xprdte", "licensee_name": "license_name",
}  # fmt: skip


def normalized(name: str) -> str:
    """Return a header name as all layouts share it.

    >>> [normalized(name) for name in ("Premise Zip Code", "LIC_REGN", "licRegn")]
    ['premise_zip_code', 'lic_regn', 'lic_regn']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[ _]+", "_", spaced.lower())


def known_as(names: list[str]) -> list[str]:
    """Return the names of a header as the listing's own, where they are another spelling of one."""
    plain = [normalized(name) for name in names]
    return [
        _ALIASES[name] if name in _ALIASES and _ALIASES[name] not in plain else name
        for name in plain
    ]


def listed_on_from_name(name: str) -> date | None:
    """Return the day that a file name tells, of a month alone the first, or None.

    Raises
    ------
    SourceError
        When it tells of two days: which one is listed would be a guess.

    Examples
    --------
    >>> listed_on_from_name("0513-ffl-list.txt")
    datetime.date(2013, 5, 1)
    >>> listed_on_from_name("atf_listing_2013-05.txt.gz")
    datetime.date(2013, 5, 1)
    >>> listed_on_from_name("0699-ffl-list.txt")
    datetime.date(1999, 6, 1)
    >>> listed_on_from_name("20240615-ffl.csv"), listed_on_from_name("ffl_2024-06-15.csv")
    (datetime.date(2024, 6, 15), datetime.date(2024, 6, 15))
    """
    text = name.rsplit("!", 1)[-1].rsplit("/", 1)[-1].lower()
    told = [match.groupdict() for pattern in _NAMES for match in pattern.finditer(text)]
    try:
        days = {date(_year(t["year"]), int(t["month"]), int(t.get("day") or 1)) for t in told}
    except ValueError:
        raise SourceError(
            f"{name} is a license listing, but its name tells a day that its month does not have.",
            fix="say which day it lists with --listed-on YYYY-MM-DD, or rename the file",
        ) from None
    months = {day.replace(day=1) for day in days}
    # A month beside a day of it says no more.
    days = {day for day in days if day.day > 1} or days if len(months) == 1 else days
    if len(days) > 1:
        form = "%B %Y" if len(months) > 1 else "%Y-%m-%d"
        raise SourceError(
            f"{name} is a license listing, but its name tells of more than one "
            f"{'month' if len(months) > 1 else 'day'}.",
            found=" and ".join(f"{day:{form}}" for day in sorted(days)),
            expected="one, as in 0513-ffl-list.txt",
            fix="say which day it lists with --listed-on YYYY-MM-DD, or rename the file",
        )
    return next(iter(days), None)


def _year(text: str) -> int:
    """Return the year of two or four digits; no listing is of before the seventies."""
    return int(text) if len(text) == 4 else int(text) + (1900 if int(text) >= 70 else 2000)


def without_header(source: SourceFile) -> tuple[TextForm, list[str]] | None:
    """Return how a listing that begins with its first license is written, and its columns.

    Members' downloads have no header: lines of fixed width, or fields between bars. Any other
    separator will do as well. Returns None for a text that begins with anything else.
    """
    lines = head_lines(source, TextForm(fallback_encoding=ENCODING))
    n, line = next(
        ((n, line) for n, line in enumerate(lines) if line.strip() and not is_rule(line)), (0, "")
    )
    form = TextForm(n_lines_before=n, has_header=False, fallback_encoding=ENCODING)
    ends = list(accumulate(_WIDTHS))
    if _COMPACT.match(line) and len(line.rstrip()) >= ends[10] and "|" not in line:
        starts = [0, *ends[:-1]]
        spans = tuple(zip(starts, ends, strict=True))
        return _with(form, spans=spans, has_quotes=False), [*COLUMNS, *_MORE]
    for sign in DELIMITERS:
        fields = [f.strip() for f in next(csv.reader([line.rstrip("\r")], delimiter=sign), [])]
        names = _names_of(fields)
        if names:
            return _with(form, delimiter=sign), names
    return None


def _with(form: TextForm, **changes: object) -> TextForm:
    return replace(form, **changes)  # type: ignore[arg-type]


def _names_of(fields: list[str]) -> list[str]:
    """Return the column names of a first license in `fields`; none when it is no license."""
    if re.match(NUMBER_PATTERN, fields[0].upper() if fields else ""):
        names = [_WHOLE, *COLUMNS[6:], *_MORE]
    else:
        patterns = ("[1-9]", r"\d{1,2}", r"\d{1,3}", r"\d{1,2}", "[0-9][A-Ma-m]", r"\w?\d{1,5}")
        parts = zip(patterns, fields, strict=False)
        if len(fields) < 6 or not all(re.fullmatch(p, f) for p, f in parts):
            return []
        names = [*COLUMNS, *_MORE]
    if len(fields) < names.index("premise_zip_code") + 1:
        return []
    extra = [f"column_{n + 1}" for n in range(len(names), len(fields))]
    return [*names, *extra][: len(fields)]


def listing(name: str, form: TextForm | None, names: list[str], listed_on: date | None) -> Layout:
    """Return the layout of the listing called `name`, whose columns are `names`.

    Raises
    ------
    SourceError
        When neither the file name nor `listed_on` tells which month it lists.
    """
    when = listed_on or listed_on_from_name(name)
    if when is None:
        raise SourceError(
            f"{name} is a license listing, but of which month?",
            expected="a file name such as 0513-ffl-list.txt or listing_2013-05.txt",
            fix="say it with --listed-on YYYY-MM-DD",
        )
    types = ", ".join(map(literal, SET_ASIDE_TYPES))
    columns = _columns(set(names), parse_date(when))
    plan = Plan("licenses", columns, _rows(names), set_aside=f"lic_type IN ({types})")
    has_expiry = {"lic_xprdte", _WHOLE} & set(names)
    notes = [] if has_expiry else ["without expiry dates: numbers and expiry are unknown"]
    notes += _named_otherwise(name, when) if listed_on else []
    is_2013 = form is not None and form.delimiter == "\t"
    return Layout(
        "listing 2013" if is_2013 else "listing", (plan,), form, tuple(notes),
        {"listed_on": when.isoformat()},
    )  # fmt: skip


def _named_otherwise(name: str, when: date) -> list[str]:
    """Tell of a name that says another month than the day that was given."""
    with suppress(SourceError):  # a name that says two is what the day was given for
        told = listed_on_from_name(name)
        if told and (told.year, told.month) != (when.year, when.month):
            return [f"listed as of {when}, as --listed-on says; its name tells of {told:%B %Y}"]
    return []


def _rows(names: list[str]) -> str:
    """Return the relation of rows with each part of the number in its width."""
    rows = "raw"
    if _WHOLE in names and "lic_regn" not in names:
        number = f"regexp_replace(upper(trim({_WHOLE})), '[- ]', '', 'g')"
        ends = list(accumulate(_WIDTHS[:6]))
        parts = ", ".join(
            f"substr({number}, {end - width + 1}, {width}) AS {name}"
            for name, end, width in zip(COLUMNS, ends, _WIDTHS, strict=False)
        )
        rows = f"(SELECT *, {parts} FROM raw)"
    padded = [f"{_whole('lic_regn')} AS lic_regn", *(f"{_part(p)} AS {p}" for p in _PARTS)]
    if {"lic_xprdte", _WHOLE} & set(names):
        nothing = is_null_word_sql("lic_xprdte", "", frozenset())
        padded.append(f"CASE WHEN {nothing} THEN NULL ELSE upper(lic_xprdte) END AS lic_xprdte")
    return f"(SELECT * REPLACE ({', '.join(padded)}) FROM {rows})"


def _columns(names: set[str], day: date) -> Mapping[str, str]:
    key = "lic_regn || '-' || lic_dist || '-' || lic_seqn"
    columns = {
        "dealer": key,
        "license_type": "lic_type",
        "listed_on": f"DATE {literal(day.isoformat())}",
        "licensee_name": "license_name",
        "premises_city": "premise_city",
        "premises_state": "premise_state",
        "county_fips": county_sql("premise_state", "lic_cnty"),
    }
    if {"lic_xprdte", _WHOLE} & names:
        parts = ("lic_regn", "lic_dist", "lic_cnty", "lic_type", "lic_xprdte", "lic_seqn")
        number = " || '-' || ".join(parts)  # null where the expiry code is
        columns["dealer"] = f"coalesce({number}, {key})"
        columns["license_number"] = number
        expiry = expires_on_sql("lic_xprdte", day)
        columns["expires_on"] = f"CASE WHEN lic_xprdte IS NOT NULL THEN {expiry} END"
    given = {"business_name": "business_name", "premises_street": "premise_street",
             "premises_zip": "premise_zip_code", "mail_zip": "mail_zip_code"}  # fmt: skip
    return columns | {to: of for to, of in given.items() if of in names}


def _whole(column: str) -> str:
    """Return SQL for a part of the number without the ``.0`` of a spreadsheet."""
    bare = f"left({column}, length({column}) - 2)"
    return f"CASE WHEN ends_with({column}, '.0') THEN {bare} ELSE {column} END"


def _part(column: str) -> str:
    """Return SQL for a part of the number, with the leading zeros that a spreadsheet ate.

    A type of one digit tells that it ate them, in every part of the row; types of two digits (10
    and 11) tell nothing, and a district of one does. Without that a short part is a slip of the
    pen, which is left as it is and refused.
    """
    width = _PARTS[column]
    bare = _whole(column)
    is_eaten = f"(length({_whole('lic_type')}) = 1 OR length({_whole('lic_dist')}) = 1)"
    short = f"length({bare}) < {width} AND regexp_full_match({bare}, '[0-9]+')"
    if column not in ("lic_type", "lic_dist"):
        short += f" AND {is_eaten}"
    return f"CASE WHEN {short} THEN lpad({bare}, {width}, '0') ELSE {bare} END"


def county_sql(state: str, county: str) -> str:
    """Return SQL for the county FIPS code out of a state abbreviation and the listing's county."""
    # A position in one text finds the code in the other: a quarter of the time of 56 conditions.
    names, codes = literal(" ".join(STATE_FIPS)), literal(" ".join(STATE_FIPS.values()))
    place = f"nullif(instr({names}, upper({state})), 0)"
    code = f"CASE WHEN length({state}) = 2 THEN substr({codes}, {place}, 2) END"
    # Padding is slow, and few codes need it; it would cut one that is too long.
    padded = f"CASE WHEN length({county}) >= 3 THEN {county} ELSE lpad({county}, 3, '0') END"
    return county_today_sql(f"({code} || {padded})")
