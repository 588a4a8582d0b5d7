"""The data contract as it is printed, exported and asked for: one source for all of them.

Names, types, codes and bounds are those of `features.schema`, which the checks apply; meanings,
units and examples stand in ``contract.toml``. The page ``docs/data.md``, the command ``contract``,
templates for clerks and the event rows of the API are all made from what is here.
"""

from __future__ import annotations

import csv
import io
import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from features.errors import InvalidValueError, did_you_mean
from features.openjson import Json
from features.schema import TABLES, Column

_TYPES: Final = {"string": "text", "date": "date", "integer": "whole number", "number": "number",
                 "boolean": "yes or no"}  # fmt: skip
_JSON_TYPES: Final[dict[str, dict[str, Any]]] = {
    "string": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
}


@dataclass(frozen=True)
class ColumnContract:
    """One column as it is printed.

    Parameters
    ----------
    name, type, unit, meaning, example : str
    is_required : bool
    codes : tuple of str
        The codes a value may take; empty means any.
    minimum, maximum : float or None
        Bounds, both included.
    """

    name: str
    type: str
    unit: str
    is_required: bool
    codes: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    meaning: str
    example: str


@dataclass(frozen=True)
class TableContract:
    """One table as it is printed.

    Parameters
    ----------
    name, about : str
    key : tuple of str
        A row with the same key and a later ``known_on`` supersedes it from then on.
    event_date : str or None
    known_on : str
        Where ``known_on`` comes from when the file has no such column.
    is_optional : bool
    columns : tuple of ColumnContract
    """

    name: str
    about: str
    key: tuple[str, ...]
    event_date: str | None
    known_on: str
    is_optional: bool
    columns: tuple[ColumnContract, ...]

    @property
    def example(self) -> dict[str, str]:
        """An example row, by column."""
        return {column.name: column.example for column in self.columns}

    def as_dict(self) -> Json:
        """Return everything as plain values, for JSON."""
        return asdict(self) | {"example": self.example}

    def template(self) -> str:
        """Return an empty file of the table: the header of a canonical CSV."""
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerow([c.name for c in self.columns])
        return stream.getvalue()


# A column of every table, beside those of its contract.
KNOWN_ON: Final = ColumnContract(
    "known_on", "date", "date", False, (), None, None,
    "day on which the fact was in the agency's hands", "2026-01-31",
)  # fmt: skip


@cache
def contract(table: str) -> TableContract:
    """Return the contract of a table.

    Raises
    ------
    InvalidValueError
        When there is none of that name.

    Examples
    --------
    >>> contract("denials").example["n_denied"]
    '2'
    """
    if table not in TABLES:
        raise InvalidValueError(
            f"{table!r} is no table{did_you_mean(table, TABLES)}", expected=", ".join(TABLES)
        )
    made, notes = TABLES[table], _notes()[table]
    return TableContract(
        table,
        str(notes["about"]),
        made.key,
        made.event_date,
        made.known_on,
        made.is_optional,
        tuple(_column(column, notes[column.name]) for column in made.columns),
    )


def contracts() -> tuple[TableContract, ...]:
    """Return the contract of every table, in order."""
    return tuple(contract(table) for table in TABLES)


def row_schema(table: str) -> Json:
    """Return the JSON schema of one row of `table`, as an event of the API carries it.

    Examples
    --------
    >>> row_schema("tips")["properties"]["is_substantiated"]["type"]
    ['boolean', 'null']
    """
    columns = {column.name: _json_column(table, column) for column in TABLES[table].columns}
    columns["known_on"] = {
        "type": ["string", "null"],
        "format": "date",
        "description": f"{KNOWN_ON.meaning}; by default the day on which the row is sent",
        "examples": [KNOWN_ON.example],
    }
    return {
        "type": "object",
        "title": table,
        "description": str(_notes()[table]["about"]),
        "properties": columns,
        "required": list(TABLES[table].required),
        "additionalProperties": False,
    }


def json_example(column: ColumnContract) -> str | int | float | bool:
    """Return the example of a column as a row of JSON has it.

    >>> by_name = {column.name: column for column in contract("seizures").columns}
    >>> [json_example(by_name[name]) for name in ("latitude", "is_semiautomatic_rifle")]
    [27.5, True]
    """
    text = column.example
    if column.type == "yes or no":
        return text == "true"
    if column.type == "whole number":
        return int(text)
    return float(text) if column.type == "number" else text


def _json_column(table: str, column: Column) -> Json:
    kind = dict(_JSON_TYPES[column.kind])
    bounds = {"minimum": column.minimum, "maximum": column.maximum}
    kind |= {name: bound for name, bound in bounds.items() if bound is not None}
    codes: list[str | None] = [*sorted(column.allowed)]
    if not column.is_required:
        kind["type"] = [kind["type"], "null"]
        codes.append(None)
    if column.allowed:
        kind["enum"] = codes
    note = _notes()[table][column.name]
    return kind | {"description": note[0], "examples": [json_example(_column(column, note))]}


def markdown() -> str:
    """Return the contract as the page ``docs/data.md``."""
    page = [_HEAD]
    for table in contracts():
        optional = " (optional)" if table.is_optional else ""
        page += [
            f"\n## {table.name}{optional}\n",
            f"One row is {table.about.removesuffix(' (optional)')}. Key: "
            f"{', '.join(f'`{name}`' for name in table.key)}. `known_on`, where the file has no "
            f"such column: {table.known_on}.\n",
            "| column | type | unit | required | codes and bounds | meaning | example |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for column in table.columns:
            cells = (
                f"`{column.name}`", column.type, column.unit, "yes" if column.is_required else "",
                limits(column), column.meaning, f"`{column.example}`",
            )  # fmt: skip
            page.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(page) + "\n"


def limits(column: ColumnContract) -> str:
    """Return the codes and bounds of a column in words."""
    if column.codes:
        return " ".join(f"`{code}`" for code in column.codes)
    if column.minimum is not None and column.maximum is not None:
        return f"{column.minimum:,g} to {column.maximum:,g}"
    return f"at least {column.minimum:,g}" if column.minimum is not None else ""


def _column(column: Column, note: list[str]) -> ColumnContract:
    meaning, unit, example = note
    return ColumnContract(
        column.name, _TYPES[column.kind], unit, column.is_required, tuple(sorted(column.allowed)),
        column.minimum, column.maximum, meaning, example,
    )  # fmt: skip


@cache
def _notes() -> dict[str, Json]:
    path = Path(__file__).with_name("contract.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


_HEAD = """# Data

<!-- Written by `ffl-risk contract --markdown`; a test holds it to the code. -->

What the warehouse takes in. A canonical file is `TABLE.csv` (also `.gz`, `.bz2`, `.xz`, `.zst`,
another separator, a workbook, records as JSON lines) or `TABLE.parquet` with the columns below, in
any order and spelling (`Trace ID`); a folder or a zip of such files will do. `ffl-risk contract
TABLE` prints one table, `--template` writes an empty file of it, `--json` gives it to a program.
Other exports are read through a [mapping](agency/mapping.md).

Dates are ISO, `YYYY-MM-DD`; yes and no are `true` and `false` (also `yes`, `no`, `1`, `0`). An
empty cell is unknown, and so are words for nothing (`NULL`, `N/A`, `None`, `-`) and marks of no
date (`1900-01-01`, `9999-12-31`); the summary of a load counts the dates. Codes are read in any
case.

Every row is known since a day: the file's own column `known_on`, else the rule of its table. One
that is dated before the last day that it tells of itself (closed, answered, reported, a month's
end) is `known_before_event`. What was stored without its end (`ends_on`, `to`, `submits_to`,
`is_substantiated`) and is sent again with it is known with it since the day of that load.
Nothing is used as of a date on which it was not known. A later row of the same key corrects the
earlier one from the day on which it is known. Two rows of one key and day that say different
things are disputed: neither stands, whichever came first, until one source is withdrawn or a later
row settles it. Bad rows never stop a load; they are kept with their reason, and `ffl-risk ingest
--dry-run` shows them before anything is changed.

A date of an event may not lie after the day of the load, nor before 1938, when the first federal
licenses were issued. A column that looks like a person's name, birth date or identity number in a
file of traces or sales refuses the file.
"""
