"""Pages of rows of which a caller sees some: read on until the page is full.

A page that was cut before it was filtered would have gaps, and a gap tells that something is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

Row = TypeVar("Row")
Shown = TypeVar("Shown")
# Rows fetched at once; what is not shown is let go again.
AT_ONCE: Final = 50
# A cursor over what is ordered by instant and then by id, such as lists and plans.
CURSOR: Final = r"^[0-9T:.Z-]{27}~[LP]-[0-9]{8}-[0-9a-f]{12}$"


def page(
    rows: Iterable[Row], show: Callable[[Row], Shown | None], limit: int
) -> tuple[list[Shown], bool]:
    """Return the first `limit` rows that are shown, and whether more follow.

    >>> page(range(9), lambda n: n if n % 2 else None, 3)
    ([1, 3, 5], True)
    >>> page(range(6), lambda n: n if n % 2 else None, 3)
    ([1, 3, 5], False)
    """
    shown: list[Shown] = []
    for row in rows:
        one = show(row)
        if one is None:
            continue
        if len(shown) == limit:
            return shown, True
        shown.append(one)
    return shown, False


def cursor_of(at: str, key: str) -> str:
    """Return the cursor of a row that is ordered by instant and id."""
    return f"{at}~{key}"


def place_of(cursor: str) -> tuple[str, str]:
    """Return instant and id that a cursor names."""
    at, _, key = cursor.partition("~")
    return at, key
