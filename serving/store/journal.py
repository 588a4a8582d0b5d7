"""The order of all writes that others follow: other workers, other homes, and whoever polls.

Numbers are given under a lock that lasts to the commit, so they become visible in their order:
whoever has read all changes up to one misses none before it. A transaction that also adds to the
audit chain takes its number here first; taken in the other order, two of them could wait for each
other.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from serving.errors import ConflictError
from serving.store.database import Store, insert_new, insert_quietly, instant
from serving.store.tables import CHANGES, CHANGES_HEAD, IDEMPOTENCY, IDENTITY

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

# Holds are not among them: that there is one must not show.
Kind = Literal["outcome", "event", "decision", "list", "plan", "referral"]
_MOST: Final = 10_000


@dataclass
class Keyed:
    """The key of the write that a task makes, what is asked under it, and what became of it."""

    name: str
    asked: str
    is_noted: bool = False
    is_taken: bool = False  # by the same write, which another worker kept meanwhile


keyed: ContextVar[Keyed | None] = ContextVar("keyed", default=None)
KEPT: Final = 1  # the status of a key whose write is kept and whose answer is not known


@dataclass(frozen=True)
class Change:
    """One write: its place in the order, what kind of thing it is, which one, and whose it is."""

    seq: int
    at: str
    kind: str
    ref: str
    dealers: tuple[str, ...]


def lock(connection: Connection) -> int:
    """Take the order's lock until the transaction ends, and return the newest number."""
    query = sa.select(CHANGES_HEAD.c.seq)
    if connection.dialect.name != "sqlite":  # SQLite's writers follow each other anyway
        query = query.with_for_update()
    found = connection.scalar(query)
    if found is None:
        insert_new(connection, CHANGES_HEAD, {"one": 1, "seq": 0})
        found = connection.scalar(query)
    return int(found or 0)


def note(connection: Connection, kind: Kind, ref: str, dealers: Iterable[str] = ()) -> int:
    """Note a write within its own transaction and return its number.

    The numbers have gaps of their own: without them, one that a caller is not shown would be seen.
    """
    seq = lock(connection) + 1 + secrets.randbelow(4)
    row = {
        "seq": seq, "at": instant(), "kind": kind, "ref": ref[:80], "dealers": sorted(set(dealers)),
    }  # fmt: skip
    connection.execute(CHANGES.insert(), row)
    connection.execute(CHANGES_HEAD.update().values(seq=seq))
    note_key(connection, ref)
    return seq


def note_key(connection: Connection, ref: str) -> None:
    """Note within a write's own transaction that it was kept under the key it came with, if any.

    Raises
    ------
    ConflictError
        When the same write was kept under the key meanwhile, by another worker.
    """
    key = keyed.get()
    if key is None or key.is_noted:
        return
    told = {"key_sha256": key.name, "request_sha256": key.asked, "status": KEPT}
    row = {**told, "ref": ref, "body": b"", "at": instant()}
    if not insert_quietly(connection, IDEMPOTENCY, row):
        key.is_taken = True
        raise ConflictError(
            "The same write is being made under this Idempotency-Key elsewhere.",
            fix="send it again: it will be answered as the other was",
        )
    key.is_noted = True


def newest(store: Store) -> int:
    """Return the number of the newest change, 0 when there is none."""
    with store.read() as connection:
        return int(connection.scalar(sa.select(CHANGES_HEAD.c.seq)) or 0)


def since(
    store: Store, seq: int, *, kinds: Sequence[str] | None = None, at_most: int = _MOST
) -> list[Change]:
    """Return the changes after number `seq`, the oldest first."""
    query = sa.select(CHANGES).where(CHANGES.c.seq > seq).order_by(CHANGES.c.seq).limit(at_most)
    if kinds is not None:
        query = query.where(CHANGES.c.kind.in_(list(kinds)))
    with store.read() as connection:
        return [
            Change(row.seq, row.at, row.kind, row.ref, tuple(row.dealers))
            for row in connection.execute(query)
        ]


def store_id(store: Store) -> str:
    """Return what names this store among all."""
    with store.read() as connection:
        found = connection.scalar(sa.select(IDENTITY.c.store_id))
    if found is None:
        with store.write() as connection:
            found = store_identity(connection)
    return str(found)


def store_identity(connection: Connection) -> str:
    """Return what names this store among all, made at its first use."""
    found = connection.scalar(sa.select(IDENTITY.c.store_id))
    if found is None:
        insert_new(connection, IDENTITY, {"one": 1, "store_id": secrets.token_hex(16)})
        found = connection.scalar(sa.select(IDENTITY.c.store_id))
    return str(found)
