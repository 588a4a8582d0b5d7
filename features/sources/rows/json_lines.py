"""Records as JSON, one a line: each key is a column, its value the text that would be typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from features.errors import SourceError
from features.sources.files.source_file import SourceFile
from features.sources.rows.delimited import DAMAGED, LINE, LINES, OddRows, open_rows
from features.sql import literal, quoted

TEXT: Final = "line"
NOT_A_RECORD: Final = (
    f"CASE WHEN json_valid({TEXT}) THEN json_type({TEXT}) <> 'OBJECT' ELSE true END"
)


def is_json_lines(source: SourceFile) -> bool:
    """Whether a text begins with a record."""
    return source.form == "text" and source.head.lstrip().startswith(b"{")


def keys_of(source: SourceFile) -> list[str]:
    """Return the keys of all records, those that stand first in a record first.

    Raises
    ------
    SourceError
        When no line is a record.
    """
    with duckdb.connect() as con, open_rows(source, LINES, [TEXT], OddRows(1, 0)) as rows:
        con.register("lines", rows)
        keys = f"json_keys(CASE WHEN NOT {NOT_A_RECORD} THEN {TEXT} END)"
        found = con.execute(
            f"SELECT key, min(place) FROM (SELECT unnest({keys}) AS key, "
            f"generate_subscripts({keys}, 1) AS place FROM lines) GROUP BY key ORDER BY 2, 1"
        ).fetchall()
    if not found:
        raise SourceError(
            f"{source.name} begins like JSON, but no line of it is a record.",
            expected='one record a line, as in {"trace_id": "T1", "dealer": "5-74-90001"}',
            fix="write each record on a line of its own, or the table as CSV or Parquet",
        )
    return [key for key, _ in found if key != TEXT]


def relation(keys: Sequence[str], names: Sequence[str]) -> str:
    """Return the SQL relation that holds the values of `keys` as columns called `names`."""
    fields = "".join(
        f", CASE WHEN json_valid({TEXT}) THEN nullif(trim({TEXT} ->> {_path(key)}), '') END "
        f"AS {quoted(name)}"
        for key, name in zip(keys, names, strict=True)
    )
    return f"(SELECT {TEXT}, {LINE}, {DAMAGED}{fields} FROM raw)"


def _path(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return literal(f'$."{escaped}"')
