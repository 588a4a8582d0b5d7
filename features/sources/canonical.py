"""Canonical files: ``TABLE.csv[.gz]`` or ``TABLE.parquet`` with the columns of the contract."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from features.schema import TABLES
from features.sources.delimited import TextForm
from features.sources.layout import Layout, Plan
from features.sql import quoted

# What a canonical file may carry beside the columns of its table.
EXTRA: Final = ("known_on",)


def needed(table: str, columns: Collection[str] = ()) -> frozenset[str]:
    """Return the columns that a file of `table` must have, beside or among `columns`.

    The dealer of a license may be told by its number.
    """
    required = frozenset(TABLES[table].required)
    if table == "licenses" and "license_number" in columns:
        required -= {"dealer"}
    return required


def canonical(table: str, columns: set[str], form: TextForm | None) -> Layout:
    """Return the layout of a canonical file of `table` whose columns are `columns`.

    Parameters
    ----------
    table : str
        The table.
    columns : set of str
        The columns of the file.
    form : TextForm or None
        How its text is written; None for Parquet.
    """
    known = [name for name in (*TABLES[table].names, *EXTRA) if name in columns]
    expressions = {name: quoted(name) for name in known}
    if table == "licenses" and "dealer" not in columns:
        expressions["dealer"] = quoted("license_number")
    ignored = sorted(columns - set(known))
    notes = (f"columns not of {table}, left out: {', '.join(ignored)}",) if ignored else ()
    return Layout(
        f"canonical {table}",
        (Plan(table, expressions),),
        form,
        notes,
        {"table": table},
    )
