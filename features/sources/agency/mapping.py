"""An agency's own export of a table, read through a mapping file.

A mapping is TOML. ``table`` names the table; each column of the contract is one entry::

    table = "traces"
    date_format = ["%m/%d/%Y", "%Y-%m-%d"]     # the rows of a column settle which one is its

    [columns.trace_id]
    from = "TRACE NUMBER"

    [columns.firearm_type]
    from = "WEAPON TYPE"
    values = { "PISTOL" = "pistol", "REVOLVER" = "revolver" }
    other = "other"                            # what any other value becomes

    [columns.county_fips]
    from = ["STATE FIPS", "COUNTY FIPS"]       # put together, each padded with zeros
    pad = [2, 3]

    [columns.recovery_country]
    constant = "US"

``from`` is the column of the export, or several that are put together with ``separator`` between
them; ``part`` takes one piece of a value (``{ separator = "/", number = 2 }``); ``pad`` gives back
leading zeros; ``decimal`` and ``thousands`` say how numbers are written; ``values`` maps codes,
``values_from`` reads them from a CSV of two columns; ``other`` catches the rest (without it an
unmapped code is rejected as ``unknown_code``); ``default`` stands in where there is nothing;
``constant`` fills a column that the export lacks; ``date_format`` may be set for one column.

``delimiter``, ``encoding`` (``utf-8``, ``latin-1``, ``cp1252``) and ``fixed_width`` (name to first
and last sign, from 1) say how the text is written; a separator that is not named is found out.
``[[join]]`` puts the columns of another file of the export beside these (``file``, and ``key``, or
``left`` and ``right``); ``query`` is SQL over the relation ``export``. Workbooks (``sheet`` names
the one of several that is read), Parquet and JSON are read as well, and so is a database
(`features.sources.agency.database`). The two examples that ship are in
``features/sources/mappings/``.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from features.domain.missing_values import is_null_word_sql, trimmed_sql
from features.errors import SourceError
from features.schema import Column
from features.sources.agency.database import Database
from features.sources.agency.lines import with_line
from features.sources.agency.mapping_faults import (
    KNOWN_ON,
    column_of,
    faults_of,
    formats_of,
    text_of,
)
from features.sources.agency.register import LISTED_ON, Register
from features.sources.layout import Layout, Plan
from features.sources.publishers.canonical import set_aside
from features.sources.rows.dates import DateChoice, date_sql
from features.sources.rows.delimited import TextForm
from features.sql import literal, quoted

__all__ = ["KNOWN_ON", "ExportMapping", "read_mapping"]

_DATE_FORMAT: Final = "%Y-%m-%d"


@dataclass(frozen=True)
class ExportMapping:
    """A mapping file, read and checked against the contract.

    Parameters
    ----------
    name : str
        File name, for messages.
    sha256 : str
        Of the file and of the code lists it names: part of the identity of what is ingested
        through it.
    table : str
        The table it makes.
    form : TextForm or None
        How the export is written; None where that is to be found out.
    columns : mapping
        For each canonical column its entry.
    date_formats : tuple of str
        For every date that does not set its own.
    encoding : str or None
        Where the text is not UTF-8.
    joins : tuple of mapping
        Other files of the export, as written in the mapping.
    query : str
        SQL over ``export``.
    codes : mapping
        For columns with ``values_from``, the codes read there.
    names : tuple of str
        The columns of a text that has no headings.
    database : Database or None
        What is asked instead of reading a file.
    sheet : str
        The one sheet of a workbook of several that is read.
    register : Register or None
        Which days a register of licenses is listed on.
    """

    name: str
    sha256: str
    table: str
    form: TextForm | None
    columns: Mapping[str, Mapping[str, Any]]
    date_formats: tuple[str, ...]
    encoding: str | None = None
    joins: tuple[Mapping[str, str], ...] = ()
    query: str = ""
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    database: Database | None = None
    sheet: str = ""
    register: Register | None = None

    @property
    def sources(self) -> frozenset[str]:
        """The columns of the export that the mapping reads."""
        of_columns = frozenset(
            name for entry in self.columns.values() for name in formats_of(entry.get("from", ()))
        )
        return of_columns | (self.register.sources if self.register else frozenset())

    @property
    def tokens(self) -> tuple[str, ...]:
        """The column that it reads as the purchaser's token, when that is one column."""
        told = self.columns.get("purchaser_token", {}).get("from", ())
        return (told,) if isinstance(told, str) else ()

    def plan(self, listed_on: date | None = None) -> Plan:
        """Return where each column of the table comes from.

        Parameters
        ----------
        listed_on : date, optional
            The day of a listing that does not say it.
        """
        columns, dates = self._day_of_listing(listed_on), []
        for name, entry in self.columns.items():
            text = self._text(name, entry)
            if column_of(self.table, name).kind == "date" and "constant" not in entry:
                formats = formats_of(entry.get("date_format", self.date_formats))
                columns[name] = date_sql(text, formats)
                if len(formats) > 1:
                    dates.append(DateChoice(name, text, formats))
            else:
                columns[name] = text
        if self.table == "licenses" and "dealer" not in columns:
            columns["dealer"] = columns["license_number"]
        aside = set_aside(self.table, columns)
        if self.register:  # a license that was in force on none of the days
            aside = f"({aside} OR {columns['listed_on']} IS NULL)"
        return Plan(self.table, columns, set_aside=aside, dates=tuple(dates))

    def layout(self, form: TextForm | None, listed_on: date | None = None) -> Layout:
        """Return the layout of an export written in `form` (None for Parquet)."""
        query = self.query
        told_as: dict[str, str] = {}
        lined = with_line(query) if query else ""
        if self.register:
            rows = query or "SELECT * FROM export"
            query = self.register.query(rows, listed_on)
            lined = with_line(rows)
            lined = self.register.query(lined, listed_on) if lined else ""
            told_as = {LISTED_ON: " or ".join(self.register.columns)}
        told = {"listed_on": listed_on.isoformat()} if listed_on else {}
        return Layout(
            f"mapping {Path(self.name).name}",
            (self.plan(listed_on),),
            form,
            options={"mapping": self.sha256, **told},
            query=query,
            lined_query=lined,
            told_as=told_as,
        )

    def _day_of_listing(self, listed_on: date | None) -> dict[str, str]:
        """Return the column that no entry tells: the day of a listing.

        Raises
        ------
        SourceError
            When nothing tells it, or two things do.
        """
        if self.table != "licenses":
            return {}
        if self.register:
            return {LISTED_ON: quoted(LISTED_ON)}
        if LISTED_ON not in self.columns and listed_on is None:
            raise SourceError(
                f"Nothing tells the day of the listing that {Path(self.name).name} reads.",
                expected="a day for every row",
                fix="give --listed-on YYYY-MM-DD, an entry columns.listed_on, or [register] for a "
                "file that has one row a license with the days on which it began and ended",
            )
        if LISTED_ON in self.columns and listed_on is not None:
            raise SourceError(
                f"--listed-on is given, and {Path(self.name).name} tells the day as well.",
                fix="leave one of the two out",
            )
        return {} if listed_on is None else {LISTED_ON: literal(listed_on.isoformat())}

    def _text(self, name: str, entry: Mapping[str, Any]) -> str:
        """Return SQL for the text of a column."""
        if "constant" in entry:
            return literal(text_of(entry["constant"]))
        text = _joined(entry)
        if "part" in entry:
            sign, number = literal(entry["part"]["separator"]), int(entry["part"]["number"])
            text = f"nullif(trim(split_part({text}, {sign}, {number})), '')"
        text = _plain_number(text, entry, column_of(self.table, name))
        text = self._mapped(text, name, entry)
        if "default" in entry:
            nothing = _is_nothing(text, column_of(self.table, name))
            default = literal(text_of(entry["default"]))
            text = f"CASE WHEN {nothing} THEN {default} ELSE {text} END"
        return text

    def _mapped(self, text: str, name: str, entry: Mapping[str, Any]) -> str:
        values = dict(self.codes.get(name, {}))
        values |= {_as_compared(str(k)): text_of(v) for k, v in entry.get("values", {}).items()}
        if not values and "other" not in entry:
            return text
        whens = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in values.items())
        rest = text
        if "other" in entry:  # than what is told; nothing is no other value
            nothing = _is_nothing(text, column_of(self.table, name))
            rest = f"CASE WHEN {nothing} THEN NULL ELSE {literal(text_of(entry['other']))} END"
        compared = f"upper(regexp_replace(nfc_normalize({text}), '[\u00df\u1e9e]', 'ss', 'g'))"
        mapped = f"CASE {compared} {whens} ELSE {rest} END" if whens else rest
        return f"CASE WHEN {text} = '' THEN NULL ELSE {mapped} END"


def _is_nothing(text: str, column: Column) -> str:
    """Return SQL that is true where `text` is empty or, as the checks have it, says nothing."""
    word = is_null_word_sql(text, column.name, column.allowed, is_typed=column.is_typed)
    return f"({text} IS NULL OR {text} = '' OR {word})"


def _as_compared(code: str) -> str:
    """Return an agency's code as codes are compared: in any case, and however accents are written.

    >>> _as_compared(" Turnusmäßig"), _as_compared("ma\u0308nnlich") == _as_compared("MÄNNLICH")
    ('TURNUSMÄSSIG', True)
    """
    text = unicodedata.normalize("NFC", code.strip())
    text = text.replace("\u00df", "ss").replace("\u1e9e", "ss")
    return "".join(sign.upper() if len(sign.upper()) == 1 else sign for sign in text)


def _joined(entry: Mapping[str, Any]) -> str:
    """Return SQL for the columns of `from`, put together."""
    names = formats_of(entry["from"])
    pads = entry.get("pad", [])
    pads = pads if isinstance(pads, list) else [pads] * len(names)
    texts = [trimmed_sql(quoted(name)) for name in names]
    for n, width in enumerate(pads):
        bare = f"regexp_replace({texts[n]}, '[.]0+$', '')"
        texts[n] = (
            f"CASE WHEN regexp_full_match({bare}, '[0-9]{{1,{width}}}') "
            f"THEN lpad({bare}, {width}, '0') ELSE {texts[n]} END"
        )
    if len(texts) == 1:
        return texts[0]
    sign = literal(str(entry.get("separator", "")))
    missing = " OR ".join(f"coalesce({text}, '') = ''" for text in texts)
    return f"CASE WHEN {missing} THEN NULL ELSE concat_ws({sign}, {', '.join(texts)}) END"


def _plain_number(text: str, entry: Mapping[str, Any], column: Column) -> str:
    """Return SQL for a number in the spelling of the contract.

    One that is not written as the entry says stays no number, so that it is told: ``1,234.5`` is
    no ``1.2345``.
    """
    point, grouped = str(entry.get("decimal", ".")), "thousands" in entry
    if column.kind not in ("number", "integer") or not (grouped or "decimal" in entry):
        return text
    if point == "." and not grouped:
        return _whole(text, column)
    sign = _signs(str(entry["thousands"])) if grouped else ""
    whole = f"([0-9]+|[0-9]{{1,3}}({sign}[0-9]{{3}})+)" if grouped else "[0-9]+"
    spelled = f"[+-]?{whole}({re.escape(point)}[0-9]*)? ?%?"
    plain = f"regexp_replace({text}, {literal(sign)}, '', 'g')" if grouped else text
    plain = f"replace({plain}, {literal(point)}, '.')" if point != "." else plain
    return (
        f"CASE WHEN regexp_full_match({text}, {literal(spelled)}) THEN {_whole(plain, column)} "
        f"WHEN regexp_matches({text}, '[0-9]') THEN {text} || ' (not written as the mapping says)' "
        f"ELSE {text} END"
    )


def _whole(text: str, column: Column) -> str:
    """Return SQL for a number whose spelling is told: a whole one has nothing behind it."""
    return f"regexp_replace({text}, '[.]0*$', '')" if column.kind == "integer" else text


def _signs(sign: str) -> str:
    """Return the pattern of a sign between thousands: blanks and apostrophes of every width."""
    for alike in (" \u00a0\u2009\u202f", "'\u2019"):
        if sign in alike:
            return f"[{alike}]"
    return re.escape(sign)


def read_mapping(path: Path) -> ExportMapping:
    """Read the mapping file at `path`.

    Raises
    ------
    SourceError
        When it is not TOML, or names a table, column or setting that does not exist, or leaves a
        required column without an entry. All faults are told at once.
    """
    try:
        content = path.read_bytes()
        raw = tomllib.loads(content.decode())
    except (OSError, ValueError) as error:
        raise SourceError(
            f"The mapping {path} cannot be read.", found=str(error), expected="a TOML file"
        ) from error
    digest = hashlib.sha256(content)
    codes, unread = _code_lists(raw, path.parent, digest)
    faults = faults_of(raw, codes) + unread
    if faults:
        raise SourceError(
            f"The mapping {path} does not fit the data contract.",
            found="; ".join(faults),
            fix="correct the mapping; `ffl-risk contract TABLE` lists the columns and codes, "
            "`ffl-risk mapping new` proposes a mapping",
        )
    encoding = raw.get("encoding", "utf-8")
    return ExportMapping(
        str(path),
        digest.hexdigest(),
        raw["table"],
        _form(raw, None if encoding == "utf-8" else encoding),
        raw["columns"],
        formats_of(raw.get("date_format", _DATE_FORMAT)),
        None if encoding == "utf-8" else encoding,
        tuple(raw.get("join", ())),
        str(raw.get("query", "")).strip().rstrip(";"),
        codes,
        tuple(raw.get("fixed_width", raw.get("header", ()))),
        Database.of(raw),
        str(raw.get("sheet", "")),
        Register.of(raw, formats_of(raw.get("date_format", _DATE_FORMAT))),
    )


def _form(raw: Mapping[str, Any], encoding: str | None) -> TextForm | None:
    spans = raw.get("fixed_width", {})
    if spans:
        widths = tuple((int(first) - 1, int(last)) for first, last in spans.values())
        return TextForm(
            has_header=False, has_quotes=False, fallback_encoding=encoding, spans=widths
        )
    if "header" in raw:
        sign = raw.get("delimiter", ",")
        return TextForm(delimiter=sign, has_header=False, fallback_encoding=encoding)
    if "delimiter" in raw:
        return TextForm(delimiter=raw["delimiter"], fallback_encoding=encoding)
    return None


def _code_lists(
    raw: Mapping[str, Any], folder: Path, digest: Any
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Read the code lists that entries name: two columns, theirs and that of the contract."""
    codes: dict[str, dict[str, str]] = {}
    faults = []
    columns = raw.get("columns", {})
    for name, entry in columns.items() if isinstance(columns, dict) else ():
        if not isinstance(entry, dict) or "values_from" not in entry:
            continue
        try:
            content = (folder / str(entry["values_from"])).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"columns.{name}: values_from cannot be read: {error}")
            continue
        digest.update(content.encode())
        rows = [row for row in csv.reader(content.splitlines()) if any(row)]
        if any(len(row) != 2 for row in rows) or len(rows) < 2:
            faults.append(f"columns.{name}: values_from needs a header and rows of two columns")
            continue
        codes[name] = {_as_compared(row[0]): row[1].strip() for row in rows[1:]}
    return codes, faults
