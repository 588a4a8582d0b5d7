"""Which publisher's layout a file has, told by its header; and what to say when it has none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import SourceError
from features.schema import TABLES
from features.sources import canonical, inspections, listing
from features.sources.delimited import TextForm, read_header
from features.sources.files import SourceFile
from features.sources.layout import Layout
from features.sources.mapping import ExportMapping
from features.sources.privacy import refuse_persons

_SNIFFED: Final = (listing.FORM_2013, canonical.FORM)


@dataclass(frozen=True)
class Choices:
    """What the user settled that a header cannot.

    Parameters
    ----------
    as_table : str or None
        The table that a canonical file holds.
    mapping : ExportMapping or None
        How to read an agency's own export.
    listed_on : date or None
        The day of a license listing.
    """

    as_table: str | None = None
    mapping: ExportMapping | None = None
    listed_on: date | None = None


def recognize(source: SourceFile, choices: Choices) -> tuple[Layout, list[str]]:
    """Return the layout of `source` and the names of its columns.

    Raises
    ------
    SourceError
        When no layout fits: the message shows the columns missing and the nearest one found.
    """
    if choices.mapping is not None:
        return _mapped(source, choices.mapping)
    if source.form == "parquet":
        return _canonical(source, _parquet_columns(source), choices, is_text=False)
    if source.head.lstrip().startswith(b"{"):
        return _json_lines(source)
    for form in _SNIFFED:
        names = read_header(source, form)
        layout = _published(source, form, names, choices)
        if layout is not None:
            return layout, [listing.normalized(name) for name in names]
    names = read_header(source, canonical.FORM)
    return _canonical(source, names, choices, is_text=True)


def _published(
    source: SourceFile, form: TextForm, names: list[str], choices: Choices
) -> Layout | None:
    """Return a publisher's layout when most of its columns are there, and all it needs."""
    found = {listing.normalized(name) for name in names}
    if len(found & set(listing.COLUMNS)) > len(listing.COLUMNS) // 2:
        _require(source, listing.REQUIRED, names, found, "the license listing")
        is_2013 = form.delimiter == "\t"
        published = listing.FORM_2013 if is_2013 else listing.FORM_LATER
        return listing.listing(source.name, published, choices.listed_on)
    own = set(inspections.COLUMNS)
    if form is canonical.FORM and len(found & own) > len(own) // 2:
        _require(source, inspections.REQUIRED, names, found, "the inspection records")
        return inspections.inspections(found)
    return None


def _json_lines(source: SourceFile) -> tuple[Layout, list[str]]:
    first = source.head.split(b"\n", 1)[0].decode(errors="replace")
    missing = [name for name in ("ui_number", "ffl_number") if f'"{name}"' not in first]
    if missing:
        raise SourceError(
            f"{source.name} holds JSON lines, but not the published inspection records.",
            found=f"no {' and no '.join(missing)} in its first line",
            expected="one inspection record a line, with ui_number and ffl_number",
            fix="convert the data to a canonical CSV or Parquet file",
        )
    return inspections.inspection_lines(), ["line"]


def _mapped(source: SourceFile, mapping: ExportMapping) -> tuple[Layout, list[str]]:
    layout = mapping.layout()
    if source.form == "parquet":
        raise SourceError(
            f"{source.name} is Parquet; a mapping reads text.",
            fix="rename the columns to those of the contract and ingest it as a canonical file",
        )
    names = read_header(source, mapping.form)
    refuse_persons(source.name, mapping.table, names)
    _require(source, mapping.sources, names, set(names), f"the mapping {mapping.name}")
    return layout, names


def _canonical(
    source: SourceFile, given: list[str], choices: Choices, *, is_text: bool
) -> tuple[Layout, list[str]]:
    names = [name.lower() for name in given] if is_text else given
    table = choices.as_table or source.table or _table_of(source, set(names))
    refuse_persons(source.name, table, given)
    _require(source, canonical.needed(table), names, set(names), f"a canonical file of {table}")
    return canonical.canonical(table, set(names), is_text=is_text), names


def _table_of(source: SourceFile, found: set[str]) -> str:
    if source.stem in TABLES:
        return source.stem
    fitting = [name for name in TABLES if canonical.needed(name) <= found]
    if len(fitting) == 1:
        return fitting[0]
    share = {n: len(found & set(t.names)) / len(t.names) for n, t in TABLES.items()}
    nearest = max(share, key=lambda name: share[name])
    if len(fitting) > 1:
        raise SourceError(
            f"{source.name} could be any of several tables: {', '.join(fitting)}.",
            fix="say which one with --as TABLE",
        )
    expected = sorted(canonical.needed(nearest))
    raise SourceError(
        f"The header of {source.name} is that of no known file.",
        found=_listed(found),
        expected=f"for {nearest}, the nearest: {_listed(expected)}; "
        f"missing {_listed(_nearest(set(expected) - found, found))}",
        fix="correct the header, name the table with --as, or read the file through --mapping",
    )


def _require(
    source: SourceFile, required: Iterable[str], names: list[str], found: set[str], what: str
) -> None:
    """Refuse `source` when it lacks required columns or repeats one."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(
            f"{source.name} has two columns of the same name.",
            found=_listed(repeated),
            fix="rename or remove one of each",
        )
    missing = set(required) - found
    if missing:
        raise SourceError(
            f"{source.name} lacks columns of {what}.",
            found=_listed(names),
            expected=f"also {_listed(_nearest(missing, found))}",
            fix="correct the header, or read the file through --mapping",
        )


def _nearest(missing: set[str], found: set[str]) -> list[str]:
    """Return each missing name with the nearest one found."""
    told = []
    for name in sorted(missing):
        near = difflib.get_close_matches(name, sorted(found), n=1, cutoff=0.5)
        told.append(f"{name} (nearest: {near[0]})" if near else f"{name} (nothing near)")
    return told


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _parquet_columns(source: SourceFile) -> list[str]:
    try:
        return list(pq.read_schema(source.path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{source.name} is damaged or cut off: it cannot be read as Parquet.",
            found=str(error).splitlines()[0],
            fix="copy the file again from its origin",
        ) from error
