"""Records as JSON, one a line: each key is a column, its value the text that would be typed.

A key inside of another is a column as well, called by both with a point between them:
``{"days": {"asked": "2024-05-01"}}`` has the column ``days.asked``. A list stays the text of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from features.domain.missing_values import plain_sql, trimmed_sql
from features.errors import SourceError
from features.sources.files.source_file import SourceFile
from features.sources.rows.delimited import DAMAGED, LINE, LINES, OddRows, open_rows
from features.sql import literal, quoted

TEXT: Final = "line"
_DEEPEST: Final = 100
NOT_A_RECORD: Final = (
    f"CASE WHEN json_valid({TEXT}) THEN json_type({TEXT}) <> 'OBJECT' ELSE true END"
)


@dataclass(frozen=True)
class Keys:
    """The keys of the records of a file.

    Parameters
    ----------
    names : list of str
        Of what can be read as a column, in the order in which they first stand.
    paths : mapping of str to tuple of str
        For each name the keys that lead to it.
    inside_lists : tuple of str
        Names that stand within lists, which nothing reads.
    """

    names: list[str]
    paths: Mapping[str, tuple[str, ...]]
    inside_lists: tuple[str, ...] = ()


def is_json_lines(source: SourceFile) -> bool:
    """Whether a text begins with a record."""
    return source.form == "text" and source.head.lstrip().startswith(b"{")


def keys_of(source: SourceFile) -> Keys:
    """Return the keys of all records.

    Raises
    ------
    SourceError
        When no line is a record.
    """
    with duckdb.connect() as con, open_rows(source, LINES, [TEXT], OddRows(1, 0)) as rows:
        con.register("lines", rows)
        record = f"CASE WHEN NOT {NOT_A_RECORD} THEN CAST({TEXT} AS JSON) END"
        row = con.execute(f"SELECT json_group_structure({record}) FROM lines").fetchone()
    try:
        structure = json.loads(row[0]) if row and row[0] else None
        return _keys(source, structure)
    except RecursionError:
        raise SourceError(
            f"{source.name} holds records within records without end.",
            expected=f"at most {_DEEPEST} levels",
            fix="write the table as CSV or Parquet",
        ) from None


def _keys(source: SourceFile, structure: Any) -> Keys:
    if not isinstance(structure, dict):
        raise SourceError(
            f"{source.name} begins like JSON, but no line of it is a record.",
            expected='one record a line, as in {"trace_id": "T1", "dealer": "5-74-90001"}, '
            "or one list of records",
            fix="write each record on a line of its own, or the table as CSV or Parquet",
        )
    paths = {".".join(path): path for path in _leaves(structure) if path != (TEXT,) and all(path)}
    return Keys(list(paths), paths, tuple(_in_lists(structure, "")))


def _leaves(structure: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path to each value that is no object."""
    if len(above) > _DEEPEST:
        raise RecursionError
    for key, kind in structure.items():
        if isinstance(kind, dict) and kind:
            yield from _leaves(kind, (*above, key))
        else:
            yield (*above, key)


def _in_lists(structure: Any, above: str, *, is_inside: bool = False) -> Iterator[str]:
    """Yield the name of each key that stands within a list."""
    if isinstance(structure, list):
        for kind in structure:
            yield from _in_lists(kind, above, is_inside=True)
    elif isinstance(structure, dict):
        for key, kind in structure.items():
            name = f"{above}.{key}" if above else key
            if is_inside:
                yield name
            yield from _in_lists(kind, name, is_inside=is_inside)


def relation(keys: Keys, names: Sequence[str]) -> str:
    """Return the SQL relation that holds the values of `keys` as columns called `names`."""
    fields = "".join(
        f", CASE WHEN json_valid({TEXT}) THEN {_value(_path(keys.paths[key]))} END "
        f"AS {quoted(name)}"
        for key, name in zip(keys.names, names, strict=True)
    )
    return f"(SELECT {TEXT}, {LINE}, {DAMAGED}{fields} FROM raw)"


def _value(path: str) -> str:
    """Return SQL for the text at `path`, a whole number of a float without ``.0``."""
    text = f"nullif({trimmed_sql(plain_sql(f'({TEXT} ->> {path})'))}, '')"
    whole = f"regexp_replace({text}, '[.]0$', '')"
    return f"CASE WHEN json_type({TEXT}, {path}) = 'DOUBLE' THEN {whole} ELSE {text} END"


def _path(keys: Sequence[str]) -> str:
    escaped = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys)
    return literal("$" + "".join(f'."{key}"' for key in escaped))
