"""Which publisher's layout a file has, told by its header; and what to say when it has none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from pathlib import Path

import pyarrow as pa

from features.errors import SourceError
from features.schema import TABLES
from features.sources.agency.mapping import ExportMapping
from features.sources.files.archive import expand
from features.sources.files.source_file import SourceFile, inspect
from features.sources.layout import Join, Layout, Plan
from features.sources.privacy import refuse_persons
from features.sources.publishers import canonical, inspections, listing
from features.sources.rows import json_lines
from features.sources.rows.delimited import DAMAGED, LINE, LINES, TextForm, read_header
from features.sources.rows.dialect import forms
from features.sources.rows.parquet import names_inside, readable_schema
from features.sql import as_text, literal, quoted


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
    known_on : date or None
        The day since which rows are known that do not say it themselves.
    beside : Path or None
        The folder that an export was given in, where files that are joined to it lie.
    folder : Path or None
        Where sheets of workbooks that are joined may be written.
    """

    as_table: str | None = None
    mapping: ExportMapping | None = None
    listed_on: date | None = None
    known_on: date | None = None
    beside: Path | None = None
    folder: Path | None = None


def recognize(source: SourceFile, choices: Choices) -> tuple[Layout, list[str]]:
    """Return the layout of `source` and the names of its columns.

    Raises
    ------
    SourceError
        When no layout fits: the message shows the columns missing and the nearest one found.
    """
    layout, names = _layout_of(source, choices)
    return (_known_since(layout, choices.known_on) if choices.known_on else layout), names


def _known_since(layout: Layout, day: date) -> Layout:
    """Return a layout whose rows are known since `day` where they do not say it themselves."""
    since = literal(day.isoformat())
    plans = tuple(
        replace(plan, columns={**plan.columns, "known_on": _or_else(plan, since)})
        for plan in layout.plans
    )
    return replace(layout, plans=plans, options={**layout.options, "known_on": day.isoformat()})


def _or_else(plan: Plan, since: str) -> str:
    own = plan.columns.get("known_on")
    return f"coalesce(CAST({own} AS VARCHAR), {since})" if own else since


def _layout_of(source: SourceFile, choices: Choices) -> tuple[Layout, list[str]]:
    if choices.mapping is not None:
        return _mapped(source, choices.mapping, choices)
    if source.form == "parquet":
        return _parquet(source, choices)
    if json_lines.is_json_lines(source):
        return _json_lines(source, choices)
    return _text(source, choices)


def _text(source: SourceFile, choices: Choices) -> tuple[Layout, list[str]]:
    """Return the layout of a text: the first of its first lines that is a known header decides."""
    tried = list(forms(source))
    for form, names in tried:
        published = _published(source, form, names, choices)
        if published is not None:
            return published
    headless = listing.without_header(source)
    if headless is not None and (choices.as_table or source.table) in (None, "licenses"):
        form, names = headless
        layout = listing.listing(source.name, form, names, choices.listed_on)
        return layout, names
    lowered = [(form, canonical.known_as(names), names) for form, names in tried]
    for form, names, given in lowered:
        table = choices.as_table or source.table or _stem_table(source) or _fitting_table(names)
        if table and canonical.needed(table, names) <= set(names):
            # Bytes that are not UTF-8 make their row undecodable: the encoding is not guessed.
            plain = replace(form, fallback_encoding=None)
            return _canonical(source, names, given, table, plain)
    if not tried:
        raise SourceError(f"{source.name} holds no header.", expected="a header line and rows")
    form, names, given = lowered[0]
    table = choices.as_table or source.table or _table_of(source, names)
    return _canonical(source, names, given, table, form)


def _published(
    source: SourceFile, form: TextForm, names: list[str], choices: Choices
) -> tuple[Layout, list[str]] | None:
    """Return a publisher's layout when most of its columns are there, and all it needs."""
    known = listing.known_as(names)
    found = set(known)
    if len(found & set(listing.COLUMNS)) > len(listing.COLUMNS) // 2:
        _require(source, listing.REQUIRED, known, found, "the license listing")
        return listing.listing(source.name, form, known, choices.listed_on), known
    own = set(inspections.COLUMNS)
    if len(found & own) > len(own) // 2:
        _require(source, inspections.REQUIRED, known, found, "the inspection records")
        return inspections.inspections(found, replace(form, fallback_encoding=None)), known
    return None


def _json_lines(source: SourceFile, choices: Choices) -> tuple[Layout, list[str]]:
    """Return the layout of records: the published inspections, or rows of a table."""
    first = source.head.split(b"\n", 1)[0].decode(errors="replace")
    if all(f'"{name}"' in first for name in ("ui_number", "ffl_number")):
        return inspections.inspection_lines(), [json_lines.TEXT]
    keys = json_lines.keys_of(source)
    names = canonical.known_as(keys.names)
    table = choices.as_table or source.table or _table_of(source, names)
    refuse_persons(source.name, table, keys.inside_lists)
    layout, _ = _canonical(source, names, keys.names, table, LINES)
    return _of_records(layout, keys, names), [json_lines.TEXT]


def _of_records(layout: Layout, keys: json_lines.Keys, names: list[str]) -> Layout:
    rows = json_lines.relation(keys, names)
    plans = tuple(
        replace(plan, rows=rows, undecodable=json_lines.NOT_A_RECORD) for plan in layout.plans
    )
    return replace(layout, plans=plans, form=LINES)


def _mapped_records(
    source: SourceFile, mapping: ExportMapping, listed_on: date | None
) -> tuple[Layout, list[str]]:
    """Return the layout of an export whose rows are records, one a line."""
    if mapping.joins or mapping.query or mapping.register:
        raise SourceError(
            f"{source.name} holds records as JSON, which are neither joined nor queried.",
            fix="write the table as CSV or Parquet first",
        )
    keys = json_lines.keys_of(source)
    names = keys.names
    refuse_persons(source.name, mapping.table, [*names, *keys.inside_lists], mapping.tokens)
    _require(source, mapping.sources, names, set(names), f"the mapping {mapping.name}")
    return _of_records(mapping.layout(LINES, listed_on), keys, names), [json_lines.TEXT]


def _mapped(
    source: SourceFile, mapping: ExportMapping, choices: Choices
) -> tuple[Layout, list[str]]:
    listed_on = choices.listed_on
    if json_lines.is_json_lines(source):
        return _mapped_records(source, mapping, listed_on)
    form, names = _written(source, mapping)
    refuse_persons(source.name, mapping.table, [*names, *_inside(source)], mapping.tokens)
    folders = [source.path.parent, choices.beside, Path(mapping.name).parent]
    joins = tuple(
        _joined_file(source, join, mapping, names, _one_table(source, join, folders, place))
        for join, place in zip(mapping.joins, _places(choices), strict=False)
    )
    layout = replace(mapping.layout(form, listed_on), joins=joins)
    if joins:
        of_joins = ",".join(join.source.sha256 for join in joins)
        layout = replace(layout, options={**layout.options, "joins": of_joins})
    found = {*names, *(name for join in joins for name in join.names)}
    if not mapping.query:
        _require(source, mapping.sources, names, found, f"the mapping {mapping.name}")
    if form is None or layout.query:
        # What a mapping reads is text, of whatever type the columns are.
        rows = (
            f"(SELECT {as_text(f'COLUMNS(* EXCLUDE ({LINE}, {DAMAGED}))')}, {LINE}, {DAMAGED} "
            "FROM raw)"
        )
        layout = replace(layout, plans=tuple(replace(p, rows=rows) for p in layout.plans))
    return layout, names


def _written(source: SourceFile, mapping: ExportMapping) -> tuple[TextForm | None, list[str]]:
    """Return how an export is written and its columns."""
    if source.form == "parquet":
        return None, list(_parquet_schema(source).names)
    if mapping.names and mapping.form is not None:
        return mapping.form, list(mapping.names)
    tried = list(forms(source, mapping.encoding))
    named = mapping.form.delimiter if mapping.form else None
    best, n_best = None, 0
    for form, names in tried:
        if named and form.delimiter != named:
            form = replace(form, delimiter=named)  # noqa: PLW2901 - the mapping's word counts
            names = read_header(source, form)  # noqa: PLW2901
        n_named = _n_named(names, mapping)
        if n_named > n_best:
            best, n_best = (form, names), n_named
    if best:
        return best
    form = mapping.form or (tried[0][0] if tried else TextForm())
    return form, read_header(source, form)


def _n_named(names: list[str], mapping: ExportMapping) -> int:
    """Return how many names of a line the mapping speaks of, in its entries or its query.

    Texts in the query are values, not names, and so are numbers.
    """
    wanted = mapping.sources
    query = re.sub(r"'[^']*'", "", mapping.query)
    asked = {
        name
        for name in names
        if query
        and re.search(r"[^\W\d_]", name)
        and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", query)
    }
    return len({name for name in names if name in wanted} | asked)


def _places(choices: Choices) -> Iterator[Path]:
    """Yield folders into which the sheets of one workbook after the other may be written."""
    return ((choices.folder or Path()) / str(n) for n in count())


def _one_table(
    source: SourceFile, join: Mapping[str, str], folders: Sequence[Path | None], place: Path
) -> SourceFile:
    """Return the file that is joined to `source`, or the one sheet of a workbook."""
    name, sheet = join["file"], join.get("sheet", "")
    path = next((f / name for f in folders if f and (f / name).is_file()), None)
    if path is None:
        raise SourceError(
            f"The mapping joins {name}, which is not there.",
            expected=f"the file beside {source.name} or beside the mapping",
        )
    held = [one for one in expand([path], place).found if not sheet or one.sheet == sheet]
    if len(held) != 1:
        raise SourceError(
            f"{name} holds {len(held)} tables" + (f" called {sheet!r}." if sheet else "."),
            found=", ".join(repr(one.sheet or one.name) for one in held) or "none",
            fix="name the sheet to join: `sheet` of the join",
        )
    return inspect(held[0].path, held[0].name)


def _joined_file(
    source: SourceFile,
    join: Mapping[str, str],
    mapping: ExportMapping,
    names: list[str],
    other: SourceFile,
) -> Join:
    """Return how another file of the export is read and on what it is joined."""
    right = join.get("right", join.get("key", ""))
    form, found = None, list(_parquet_schema(other).names) if other.form == "parquet" else []
    if other.form != "parquet":
        tried = list(forms(other, mapping.encoding))
        if not tried:
            raise SourceError(f"{other.name} holds no header.", expected="a header line and rows")
        form, found = next(((f, n) for f, n in tried if right in n), tried[0])
    refuse_persons(other.name, mapping.table, found, mapping.tokens)
    left = join.get("left", join.get("key", ""))
    _require(source, [left], names, set(names), f"the join with {other.name}")
    _require(other, [right], found, set(found), f"the join with {source.name}")
    return Join(other, form, tuple(found), left, right)


def _parquet(source: SourceFile, choices: Choices) -> tuple[Layout, list[str]]:
    schema = _parquet_schema(source)
    given = list(schema.names)
    names = canonical.known_as(given)
    table = choices.as_table or source.table or _table_of(source, names)
    refuse_persons(source.name, table, _inside(source))
    nested = [
        name
        for name, kind in zip(names, schema.types, strict=True)
        if name in TABLES[table].names and pa.types.is_nested(kind)
    ]
    if nested:
        raise SourceError(
            f"{source.name} holds lists or records where {table} has one value.",
            found=", ".join(nested),
            fix="write one value a row, or read the file through --mapping",
        )
    layout, _ = _canonical(source, names, given, table, None)
    if names != [name.lower() for name in given]:
        named = ", ".join(f"{quoted(a)} AS {quoted(b)}" for a, b in zip(given, names, strict=True))
        rows = f"(SELECT {named}, {LINE}, {DAMAGED} FROM raw)"
        layout = replace(layout, plans=tuple(replace(p, rows=rows) for p in layout.plans))
    return layout, given


def _inside(source: SourceFile) -> list[str]:
    """Return the names that stand within values of a file of Parquet."""
    kinds = _parquet_schema(source).types if source.form == "parquet" else ()
    return [name for kind in kinds for name in names_inside(kind)]


def _canonical(
    source: SourceFile, names: list[str], given: list[str], table: str, form: TextForm | None
) -> tuple[Layout, list[str]]:
    refuse_persons(source.name, table, given)
    needed = canonical.needed(table, names)
    _require(source, needed, names, set(names), f"a canonical file of {table}")
    return canonical.canonical(table, set(names), form), names


def _stem_table(source: SourceFile) -> str | None:
    return source.stem.lower() if source.stem.lower() in TABLES else None


def _fitting_table(names: list[str]) -> str | None:
    """Return the one table whose needed columns are all there."""
    fitting = [name for name in TABLES if canonical.needed(name, names) <= set(names)]
    return fitting[0] if len(fitting) == 1 else None


def _table_of(source: SourceFile, names: list[str]) -> str:
    named, found = _stem_table(source), set(names)
    if named:
        return named
    fitting = [name for name in TABLES if canonical.needed(name, found) <= found]
    if len(fitting) == 1:
        return fitting[0]
    share = {n: len(found & set(t.names)) / len(t.names) for n, t in TABLES.items()}
    nearest = max(share, key=lambda name: share[name])
    if len(fitting) > 1:
        raise SourceError(
            f"{source.name} could be any of several tables: {', '.join(fitting)}.",
            fix="say which one with --as TABLE",
        )
    expected = sorted(canonical.needed(nearest, found))
    raise SourceError(
        f"The header of {source.name} is that of no known file.",
        found=_listed(names),
        expected=f"for {nearest}, the nearest: {_listed(expected)}; "
        f"missing {_listed(_nearest(set(expected) - found, found))}",
        fix="correct the header, name the table with --as, or let "
        f"`ffl-risk mapping new {Path(source.name).name} --table TABLE` propose how to read it",
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


def _parquet_schema(source: SourceFile) -> pa.Schema:
    """Return the columns of a file of Parquet."""
    try:
        return readable_schema(source.path, source.name)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{source.name} is damaged or cut off: it cannot be read as Parquet.",
            found=str(error).splitlines()[0],
            fix="copy the file again from its origin",
        ) from error
