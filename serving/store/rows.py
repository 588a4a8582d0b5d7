"""Rows of the store as typed records: the one place where what a database gives gets its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import sqlalchemy as sa

Record = TypeVar("Record", bound=Mapping[str, object])


def picked(kind: type[Record], row: Mapping[str, Any] | sa.RowMapping) -> Record:
    """Return the columns of a row that a record of a kind has, in its order.

    Raises
    ------
    KeyError
        When the row lacks one.

    Examples
    --------
    >>> from typing import TypedDict
    >>> Place = TypedDict("Place", {"city": str, "state": str})
    >>> picked(Place, {"state": "TX", "city": "Austin", "zip": "78701"})
    {'city': 'Austin', 'state': 'TX'}
    """
    return cast("Record", {name: row[name] for name in kind.__annotations__})
