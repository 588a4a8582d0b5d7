"""Canonical files: ``TABLE.csv[.gz]`` or ``TABLE.parquet`` with the columns of the contract."""

from __future__ import annotations

from typing import Final

from features.schema import TABLES
from features.sources.delimited import TextForm
from features.sources.layout import Layout, Plan
from features.sql import quoted

FORM: Final = TextForm()
# What a canonical file may carry beside the columns of its table.
EXTRA: Final = ("known_on",)
# Columns that another column of the same row can supply.
DERIVABLE: Final = {"licenses": ("dealer",)}


def needed(table: str) -> frozenset[str]:
    """Return the columns that a canonical file of `table` must have."""
    return frozenset(TABLES[table].required) - set(DERIVABLE.get(table, ()))


def canonical(table: str, columns: set[str], *, is_text: bool) -> Layout:
    """Return the layout of a canonical file of `table` whose columns are `columns`."""
    known = [name for name in (*TABLES[table].names, *EXTRA) if name in columns]
    expressions = {name: quoted(name) for name in known}
    if table == "licenses" and "dealer" not in columns:
        expressions["dealer"] = quoted("license_number")
    ignored = sorted(columns - set(known))
    notes = (f"columns not of {table}, left out: {', '.join(ignored)}",) if ignored else ()
    return Layout(
        f"canonical {table}",
        (Plan(table, expressions),),
        FORM if is_text else None,
        notes,
        {"table": table},
    )
