"""What is wrong when a query of a mapping cannot be asked, or does not give what is read from it.

The fault is the mapping's, not the file's, and the message says so.
"""

from __future__ import annotations

import re
from typing import Any, Final

import duckdb

from features.errors import SourceError, did_you_mean
from features.sources.files.source_file import SourceFile
from features.sources.layout import Layout
from features.sources.rows.delimited import DAMAGED, LINE
from features.sql import quoted

# A statement that does not fit the columns; other errors come from rows or from the machine.
UNFIT: Final = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
_NO_COLUMN: Final = re.compile(
    r'(?:column "(?P<a>.+?)" not found|does not have a column named "(?P<b>.+?)")', re.IGNORECASE
)


def not_askable(
    error: duckdb.Error, layout: Layout, source: SourceFile, names: list[str]
) -> SourceError:
    """Return the error of a query that does not fit the columns of the export."""
    missing = _missing(error)
    told = str(error).splitlines()[0]
    if missing:
        told = f"no column is called {missing!r}{did_you_mean(missing, names)}"
    return SourceError(
        f"The query of {layout.name} does not fit {source.name}.",
        found=told,
        expected=f"columns of the export: {', '.join(names)}",
        fix="correct `query` (or `from` and `to` of [register]) in the mapping",
    )


def require_given(con: Any, layout: Layout) -> None:
    """Raise when the query of a mapping does not give a column that the mapping reads.

    Raises
    ------
    SourceError
        Naming all of them, each with the nearest name.
    """
    held = [row[0] for row in con.execute("DESCRIBE SELECT * FROM raw").fetchall()]
    given = [name for name in held if name not in (LINE, DAMAGED)]
    faults = []
    for plan in layout.plans:
        for column, sql in plan.columns.items():
            try:
                con.execute(f"DESCRIBE SELECT {sql} AS {quoted(column)} FROM {plan.rows} AS rows")
            except duckdb.BinderException as error:
                missing = _missing(error)
                if missing and missing not in given:
                    near = did_you_mean(missing, given)
                    faults.append(f"columns.{column} reads {missing!r}{near}")
    if faults:
        raise SourceError(
            f"The query of {layout.name} does not give what its columns read.",
            found="; ".join(faults),
            expected=f"columns that the query gives: {', '.join(given)}",
            fix="correct `from` of these columns, or the query",
        )


def fails_on_rows(error: duckdb.Error, layout: Layout, source: SourceFile) -> SourceError:
    """Return the error of a query that some row does not pass."""
    return SourceError(
        f"The query of {layout.name} fails on rows of {source.name}; nothing was stored.",
        found=str(error).splitlines()[0],
        fix="correct the query; TRY_CAST gives nothing where CAST fails on a value",
    )


def _missing(error: duckdb.Error) -> str:
    found = _NO_COLUMN.search(str(error))
    return (found["a"] or found["b"]) if found else ""
