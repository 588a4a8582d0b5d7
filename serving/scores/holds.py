"""Deconfliction holds: a held dealer does not exist for anyone but the hold's owners."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from features.domain.asof import from_numpy
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger
from serving.errors import InvalidRequestError, NotReadyError
from serving.scores.table.loaded_table import ScoredTable, current
from serving.store.database import Store, instant
from serving.store.tables import ACCOUNTS, HOLDS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


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
    ledger: Ledger | None = None,
) -> str:
    """Put a dealer under a hold and return the hold's id.

    Parameters
    ----------
    ledger : Ledger, optional
        Records it in the same transaction. The record names the hold and never the dealer: it
        would tell whoever reads the audit.

    Raises
    ------
    InvalidRequestError
        When the hold ends before it starts, or an owner is no account that could see the dealer.
    """
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
        if ledger is not None:
            _check_owners(connection, owners)
            ledger.add(
                connection, "place_hold", hold_id, kept=kept_now(connection, "hold", hold_id)
            )
    return hold_id


def _check_owners(connection: Connection, owners: Sequence[str]) -> None:
    """Refuse owners that do not exist: a hold would hide the dealer from those it is for."""
    local = [name for name in owners if not name.startswith("oidc:")]
    query = sa.select(ACCOUNTS.c.name).where(ACCOUNTS.c.name.in_(local), ACCOUNTS.c.is_active)
    known = set(connection.scalars(query))
    missing = sorted(set(local) - known)
    if missing:
        raise InvalidRequestError(
            f"There is no active account {', '.join(missing)}.",
            expected="accounts that ffl-risk users list shows, or oidc:NAME",
            fix="make the account first: ffl-risk users add",
        )


def lift(store: Store, hold_id: str, on: date, *, ledger: Ledger | None = None) -> None:
    """End a hold, and record it in the same transaction."""
    with store.write() as connection:
        changed = connection.execute(
            HOLDS.update().where(HOLDS.c.hold_id == hold_id).values(ends_on=on)
        )
        if not changed.rowcount:
            raise InvalidRequestError(f"There is no hold {hold_id!r}.")
        if ledger is not None:
            ledger.add(connection, "lift_hold", hold_id, kept=kept_now(connection, "hold", hold_id))


def stored(store: Store) -> list[Hold]:
    """Return the holds placed through the service."""
    with store.read() as connection:
        return [_hold(row._mapping) for row in connection.execute(sa.select(HOLDS))]


def of_table(table: ScoredTable, store: Store) -> tuple[Hold, ...]:
    """Return the holds that came with a table, and those placed through the service."""
    return (*published(table), *stored(store))


def in_force(store: Store, home: Path) -> list[Hold]:
    """Return every hold that the store and the table in force know, without loading the table."""
    try:
        path = home / "scored" / current(home, "scored") / "holds.parquet"
        frame = pd.read_parquet(path)
    except (NotReadyError, FileNotFoundError):
        return stored(store)
    return [*_published(frame), *stored(store)]


def published(table: ScoredTable) -> list[Hold]:
    """Return the holds that came with the warehouse; they name no owner."""
    return _published(table.holds)


def _published(frame: pd.DataFrame) -> list[Hold]:
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
