"""Canonical files: ``TABLE.csv[.gz]`` or ``TABLE.parquet`` with the columns of the contract."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from features.schema import SET_ASIDE_TYPES, TABLES
from features.sources.layout import Layout, Plan
from features.sources.rows.delimited import TextForm
from features.sql import list_sql, padded, quoted

# What a canonical file may carry beside the columns of its table.
EXTRA: Final = ("known_on",)


_KNOWN: Final = frozenset(name for table in TABLES.values() for name in table.names) | set(EXTRA)


def known_as(names: Sequence[str]) -> list[str]:
    """Return the names of a header in lower case, other spellings of a column as the column.

    >>> known_as(["TRACE_ID", "Sold On", "recoveredOn", "#Dealer", "My Note"])
    ['trace_id', 'sold_on', 'recovered_on', 'dealer', 'my note']
    """
    lowered = [name.lower() for name in names]
    known = []
    for name, low in zip(names, lowered, strict=True):
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        plain = re.sub(r"[^a-z0-9]+", "_", spaced).strip("_")
        known.append(plain if plain in _KNOWN and plain not in lowered else low)
    return known


def needed(table: str, columns: Collection[str] = ()) -> frozenset[str]:
    """Return the columns that a file of `table` must have, beside or among `columns`.

    The dealer of a license may be told by its number.
    """
    required = frozenset(TABLES[table].required)
    if table == "licenses" and "license_number" in columns:
        required -= {"dealer"}
    return required


def set_aside(table: str, columns: Mapping[str, str]) -> str:
    """Return SQL that is true for rows that are left out on purpose: licenses of collectors.

    Parameters
    ----------
    table : str
        The table.
    columns : mapping of str to str
        SQL of each column of the contract.
    """
    if table != "licenses" or "license_type" not in columns:
        return "false"
    code = padded(f"trim(CAST({columns['license_type']} AS VARCHAR))", 1, 2)
    return f"coalesce(list_contains({list_sql(SET_ASIDE_TYPES)}, {code}), false)"


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
        (Plan(table, expressions, set_aside=set_aside(table, expressions)),),
        form,
        notes,
        {"table": table},
    )
