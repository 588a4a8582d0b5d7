"""Deconfliction holds: a held dealer does not exist for anyone but the hold's owners."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from features.domain.asof import from_numpy
from serving.errors import InvalidRequestError
from serving.scores.table import ScoredTable
from serving.store.database import Store, instant
from serving.store.tables import HOLDS


@dataclass(frozen=True)
class Hold:
    """One hold; without owners it hides the dealer from everyone."""

    hold_id: str
    dealer: str
    starts_on: date
    ends_on: date | None
    owners: frozenset[str]

    def is_active(self, days: Iterable[date]) -> bool:
        """Whether it is in force on any of the days."""
        return any(
            self.starts_on <= when and (self.ends_on is None or when < self.ends_on)
            for when in days
        )


def place(
    store: Store,
    dealer: str,
    *,
    owners: Sequence[str],
    starts_on: date,
    ends_on: date | None = None,
) -> str:
    """Put a dealer under a hold and return the hold's id."""
    if ends_on is not None and ends_on <= starts_on:
        raise InvalidRequestError("A hold ends after it starts.", found=f"{starts_on} to {ends_on}")
    hold_id = f"H-{secrets.token_hex(6)}"
    row = {
        "hold_id": hold_id,
        "dealer": dealer,
        "starts_on": starts_on,
        "ends_on": ends_on,
        "owners": sorted(owners),
        "created_at": instant(),
    }
    with store.write() as connection:
        connection.execute(HOLDS.insert(), row)
    return hold_id


def lift(store: Store, hold_id: str, on: date) -> None:
    """End a hold."""
    with store.write() as connection:
        changed = connection.execute(
            HOLDS.update().where(HOLDS.c.hold_id == hold_id).values(ends_on=on)
        )
        if not changed.rowcount:
            raise InvalidRequestError(f"There is no hold {hold_id!r}.")


def stored(store: Store) -> list[Hold]:
    """Return the holds placed through the service."""
    with store.read() as connection:
        return [_hold(row._mapping) for row in connection.execute(sa.select(HOLDS))]


def published(table: ScoredTable) -> list[Hold]:
    """Return the holds that came with the warehouse; they name no owner."""
    frame = table.holds
    starts = frame["starts_on"].to_numpy().astype("datetime64[s]")
    ends = frame["ends_on"].to_numpy().astype("datetime64[s]")
    return [
        Hold(str(hold_id), str(dealer), from_numpy(start) or date.min, from_numpy(end), frozenset())
        for hold_id, dealer, start, end in zip(
            frame["hold_id"], frame["dealer"], starts, ends, strict=True
        )
    ]


def _hold(row: Mapping[str, Any] | sa.RowMapping) -> Hold:
    return Hold(
        row["hold_id"], row["dealer"], row["starts_on"], row["ends_on"], frozenset(row["owners"])
    )


def hidden_from(who: str, holds: Iterable[Hold], days: Iterable[date]) -> frozenset[str]:
    """Return the dealers that do not exist for `who` on any of the days."""
    when = tuple(days)
    return frozenset(h.dealer for h in holds if who not in h.owners and h.is_active(when))
