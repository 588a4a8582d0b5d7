"""An agency's own export of a table, read through a mapping file.

A mapping is TOML. ``table`` names the table; each column of the contract is one entry::

    table = "traces"
    date_format = ["%m/%d/%Y", "%Y-%m-%d"]     # tried in order, for every date

    [columns.trace_id]
    from = "TRACE NUMBER"

    [columns.firearm_type]
    from = "WEAPON TYPE"
    values = { "PISTOL" = "pistol", "REVOLVER" = "revolver" }
    other = "other"                            # what any other value becomes

    [columns.recovery_country]
    constant = "US"

``from`` is the column of the export, ``date_format`` may be set for one column, ``values`` maps
codes, ``other`` catches the rest (without it an unmapped code is rejected as ``unknown_code``),
``constant`` fills a column that the export lacks. ``delimiter`` and ``encoding`` say how the text
is written. The two examples that ship are in ``features/sources/mappings/``.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from features.errors import SourceError, did_you_mean
from features.schema import TABLES, Column
from features.sources import canonical
from features.sources.delimited import TextForm
from features.sources.layout import Layout, Plan
from features.sql import literal, quoted

_TOP: Final = {"table", "columns", "date_format", "delimiter", "encoding", "description"}
_PER_COLUMN: Final = {"from", "date_format", "values", "other", "constant"}
_ENCODINGS: Final = ("utf-8", "latin-1")
_KNOWN_ON: Final = Column("known_on", "date", is_required=False)


@dataclass(frozen=True)
class ExportMapping:
    """A mapping file, read and checked against the contract.

    Parameters
    ----------
    name : str
        File name, for messages.
    sha256 : str
        Of the file: part of the identity of what is ingested through it.
    table : str
        The table it makes.
    form : TextForm
        How the export is written.
    columns : mapping
        For each canonical column its entry.
    date_formats : tuple of str
        Tried in order for every date that does not set its own.
    """

    name: str
    sha256: str
    table: str
    form: TextForm
    columns: Mapping[str, Mapping[str, Any]]
    date_formats: tuple[str, ...]

    @property
    def sources(self) -> frozenset[str]:
        """The columns of the export that the mapping reads."""
        return frozenset(str(e["from"]) for e in self.columns.values() if "from" in e)

    def layout(self) -> Layout:
        """Return the layout of the export."""
        columns = {name: self._expression(name, entry) for name, entry in self.columns.items()}
        if self.table == "licenses" and "dealer" not in columns:
            columns["dealer"] = columns["license_number"]
        return Layout(
            f"mapping {Path(self.name).name}",
            (Plan(self.table, columns),),
            self.form,
            options={"mapping": self.sha256},
        )

    def _expression(self, name: str, entry: Mapping[str, Any]) -> str:
        if "constant" in entry:
            return literal(_text(entry["constant"]))
        text = f"trim({quoted(str(entry['from']))})"
        if _column(self.table, name).kind == "date":
            formats = _formats(entry.get("date_format", self.date_formats))
            return _date_sql(text, formats)
        values = {str(k).strip().upper(): _text(v) for k, v in entry.get("values", {}).items()}
        if not values and "other" not in entry:
            return text
        whens = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in values.items())
        rest = literal(_text(entry["other"])) if "other" in entry else text
        mapped = f"CASE upper({text}) {whens} ELSE {rest} END" if whens else rest
        return f"CASE WHEN {text} = '' THEN NULL ELSE {mapped} END"


def _date_sql(text: str, formats: tuple[str, ...]) -> str:
    """Return SQL for the ISO text of a date; what no format reads stays as it was, to be told."""
    tries = ", ".join(f"CAST(TRY_STRPTIME({text}, {literal(f)}) AS DATE)" for f in formats)
    return f"coalesce(CAST(coalesce({tries}) AS VARCHAR), {text})"


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
    faults = _faults(raw)
    if faults:
        raise SourceError(
            f"The mapping {path} does not fit the data contract.",
            found="; ".join(faults),
            fix="correct the mapping; features/sources/mappings/ holds two that work",
        )
    encoding = raw.get("encoding", "utf-8")
    form = TextForm(
        delimiter=raw.get("delimiter", ","),
        fallback_encoding=None if encoding == "utf-8" else encoding,
    )
    sha256 = hashlib.sha256(content).hexdigest()
    formats = _formats(raw.get("date_format", "%Y-%m-%d"))
    return ExportMapping(str(path), sha256, raw["table"], form, raw["columns"], formats)


def _faults(raw: Mapping[str, Any]) -> list[str]:
    table = str(raw.get("table"))
    if table not in TABLES:
        return [f"table {table!r} is unknown{did_you_mean(table, TABLES)}"]
    faults = [f"setting {k!r} is unknown{did_you_mean(k, _TOP)}" for k in raw.keys() - _TOP]
    if raw.get("encoding", "utf-8") not in _ENCODINGS:
        faults.append(f"encoding {raw['encoding']!r} is none of {', '.join(_ENCODINGS)}")
    if not re.fullmatch(r"[^\w\"\n\r]", str(raw.get("delimiter", ","))):
        faults.append(f"delimiter {raw['delimiter']!r} is not one separating sign")
    columns = raw.get("columns", {})
    known = (*TABLES[table].names, *canonical.EXTRA)
    for name, entry in columns.items():
        if name not in known:
            faults.append(f"{table} has no column {name!r}{did_you_mean(name, known)}")
        elif not isinstance(entry, dict) or ("from" in entry) == ("constant" in entry):
            faults.append(f"columns.{name} needs either 'from' or 'constant'")
        else:
            faults += _entry_faults(_column(table, name), entry)
    missing = sorted(canonical.needed(table, columns) - set(columns))
    return faults + [f"required column {name!r} has no entry" for name in missing]


def _entry_faults(column: Column, entry: Mapping[str, Any]) -> list[str]:
    where = f"columns.{column.name}"
    faults = [
        f"{where}: setting {k!r} is unknown{did_you_mean(k, _PER_COLUMN)}"
        for k in entry.keys() - _PER_COLUMN
    ]
    made = [*entry.get("values", {}).values(), *(entry[k] for k in ("other",) if k in entry)]
    if column.allowed:
        wrong = sorted({_text(v) for v in made} - column.allowed)
        faults += [
            f"{where}: {v!r} is no code of the contract{did_you_mean(v, column.allowed)}"
            for v in wrong
        ]
    return faults


def _column(table: str, name: str) -> Column:
    return _KNOWN_ON if name == "known_on" else TABLES[table].column(name)


def _formats(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
