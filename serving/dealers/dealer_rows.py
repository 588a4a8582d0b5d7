"""A dealer's own rows of a table as of a day, by the rule by which its signals read them."""

from __future__ import annotations

from typing import Final

from features.domain.asof import in_force_sql
from features.reference.attribution import COUNTS_SQL, UNSERIALIZED_SQL
from features.reference.legal.citation import CITED_SQL
from features.schema import TABLES
from features.warehouse import Warehouse
from features.warehouse.own_rows import JOINED, OwnRows

_IN_FORCE: Final = in_force_sql("CAST($as_of AS DATE)")


def has_rows_of_dealers(warehouse: Warehouse | OwnRows, table: str) -> bool:
    """Whether the rows of a table belong to dealers, and all that says so is there.

    A hold is nobody's to ask for.
    """
    if table == "holds" or not warehouse.has(table):
        return False
    if "dealer" in TABLES[table].names:
        return True
    return table in JOINED and warehouse.has(JOINED[table][0])


def rows_of_dealer(warehouse: Warehouse | OwnRows, table: str) -> str:
    """Return the query of the rows of ``$dealer`` in force as of ``$as_of``.

    Not a firearm without a serial number, which cannot be followed to a sale, nor a citation that
    was taken back. What left lawfully is among the traces and counts apart.
    """
    return (
        f"SELECT * FROM {warehouse.scan(table)} "  # noqa: S608 - names of the schema alone
        f"WHERE {_IN_FORCE} AND ({_own(warehouse, table)})"
    )


def _own(warehouse: Warehouse | OwnRows, table: str) -> str:
    own = "dealer = $dealer" if "dealer" in TABLES[table].names else ""
    if table == "traces":
        return f"{own} AND NOT {UNSERIALIZED_SQL}"
    if table not in JOINED or not warehouse.has(JOINED[table][0]):
        return own or "FALSE"
    by, key = JOINED[table]
    counts = f"AND {COUNTS_SQL} " if by == "traces" else ""
    joined = (
        f"{key} IN (SELECT {key} FROM {warehouse.scan(by)} "  # noqa: S608 - names of the schema
        f"WHERE dealer = $dealer {counts}AND {_IN_FORCE})"
    )
    if own:
        return f"{own} OR (dealer IS NULL AND {joined})"
    return joined + (f" AND {CITED_SQL}" if table == "violations" else "")
