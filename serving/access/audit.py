"""The audit chain: one append-only record for each access to dealer-level data.

Each record's digest is an HMAC over its fields and the digest before it, so a record changed,
removed or put in between breaks the chain from there on, and whoever can write the database but
has not the key cannot mend it. A head row names the end, so that a chain cut short shows too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from serving.errors import AuditError, StoreError
from serving.store.database import Store, insert_new, instant
from serving.store.tables import AUDIT, AUDIT_HEAD

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

GENESIS: Final = "0" * 64
_FIELDS: Final = (
    "seq", "at", "who", "role", "purpose", "action", "subject", "bundle", "scored", "list_id",
    "previous",
)  # fmt: skip
_MOST_AT_ONCE: Final = 512


@dataclass(frozen=True)
class Access:
    """One access to dealer-level data: who, as what, why, what, out of which bundle and table."""

    who: str
    role: str
    action: str
    subject: str
    purpose: str = ""
    bundle: str = ""
    scored: str = ""
    list_id: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a verification found."""

    n_records: int
    is_intact: bool
    broken_at: int | None = None
    why: str = ""
    head: str = GENESIS


def load_key(path: Path) -> bytes:
    """Return the key of the chain, made on first use and readable by its owner alone."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(draft, path)  # of several processes starting at once, one wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_bytes()


def _digest(key: bytes, record: dict[str, Any]) -> str:
    text = json.dumps([record[name] for name in _FIELDS], ensure_ascii=False).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def _record(key: bytes, access: Access, seq: int, previous: str, at: str) -> dict[str, Any]:
    record = {"seq": seq, "at": at, **access.__dict__, "previous": previous}
    record["digest"] = _digest(key, record)
    return record


def append(connection: Connection, key: bytes, accesses: Sequence[Access]) -> int:
    """Add records to the end of the chain within the caller's transaction; return the last seq.

    The caller's transaction must have been opened by `Store.write`: the head row is locked for its
    length, so that chains of several processes do not fork.
    """
    sql = _statements(connection.dialect.name)
    head = connection.exec_driver_sql(sql.head).first()
    if head is None:
        # Several writers may begin the chain at once, and a row that is not there cannot be locked.
        insert_new(connection, AUDIT_HEAD, {"one": 1, "seq": 0, "digest": GENESIS})
        head = connection.exec_driver_sql(sql.head).one()
    seq, previous = head
    records = []
    at = instant()
    for access in accesses:
        seq += 1
        record = _record(key, access, seq, previous, at)
        previous = record["digest"]
        records.append(record)
    connection.exec_driver_sql(sql.insert, records)
    connection.exec_driver_sql(sql.advance, {"seq": seq, "digest": previous})
    return int(seq)


@dataclass(frozen=True)
class _Statements:
    """The three statements of one record, as the driver takes them."""

    head: str
    insert: str
    advance: str


@cache
def _statements(dialect: str) -> _Statements:
    """Write the statements once: every request waits for them, and compiling costs more."""
    mark = ":{}" if dialect == "sqlite" else "%({})s"
    names = (*_FIELDS, "digest")
    # One row, locked until the transaction ends; SQLite locks the whole file instead.
    lock = "" if dialect == "sqlite" else " FOR UPDATE"
    return _Statements(
        head=f"SELECT seq, digest FROM {AUDIT_HEAD.name}{lock}",  # noqa: S608 - own names
        insert=f"INSERT INTO {AUDIT.name} ({', '.join(names)}) "  # noqa: S608
        f"VALUES ({', '.join(map(mark.format, names))})",
        advance=f"UPDATE {AUDIT_HEAD.name} SET seq = {mark.format('seq')}, "  # noqa: S608
        f"digest = {mark.format('digest')} WHERE one = 1",
    )


def verify(store: Store, key: bytes, *, anchor: tuple[int, str] | None = None) -> Verdict:
    """Walk the whole chain and say whether anything was changed or removed.

    Parameters
    ----------
    anchor : (int, str), optional
        A sequence number and digest noted down elsewhere earlier; they must still match. It shows
        a chain that was thrown away and begun again by someone who has the key.
    """
    previous, n, anchored = GENESIS, 0, anchor is None
    with store.read() as connection:
        for row in connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq)).yield_per(10_000):
            record = dict(row._mapping)
            n += 1
            if record["seq"] != n:
                return Verdict(n - 1, False, n, f"record {n} is missing", previous)
            if record["previous"] != previous:
                return Verdict(n, False, n, f"record {n} does not follow record {n - 1}", previous)
            if not hmac.compare_digest(_digest(key, record), record["digest"]):
                return Verdict(n, False, n, f"record {n} was changed", previous)
            previous = record["digest"]
            anchored = anchored or (anchor == (n, previous))
        head = connection.execute(sa.select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.digest)).first()
    if tuple(head or (0, GENESIS)) != (n, previous):
        return Verdict(n, False, n + 1, f"the chain is cut short after record {n}", previous)
    if not anchored and anchor:
        return Verdict(n, False, anchor[0], f"record {anchor[0]} is not the one noted", previous)
    return Verdict(n, True, None, "", previous)


class AuditWriter:
    """Writes records from one thread, all that are waiting in one transaction.

    A caller awaits the returned future before it answers: what cannot be recorded is not shown.
    """

    def __init__(self, store: Store, key: bytes) -> None:
        self._store, self._key = store, key
        self._direct = store.direct_connection()
        self._waiting: queue.SimpleQueue[tuple[Access, Future[int]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def write_now(self, access: Access) -> int | None:
        """Write one record in the caller's thread if that takes no waiting; else return None.

        Handing a record to another thread and back costs more than writing it. Only one thread
        may call this. A store on a server, a lock held by another writer and every fault are left
        to `submit`, which may wait and which says what went wrong.
        """
        if self._direct is None or not self._waiting.empty():
            return None
        sql = _statements("sqlite")
        cursor = self._direct.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            head = cursor.execute(sql.head).fetchone()
            if head is None:
                cursor.execute("ROLLBACK")
                return None
            record = _record(self._key, access, head[0] + 1, head[1], instant())
            cursor.execute(sql.insert, record)
            cursor.execute(sql.advance, record)
            cursor.execute("COMMIT")
        except sqlite3.Error:
            if self._direct.in_transaction:
                cursor.execute("ROLLBACK")
            return None
        finally:
            cursor.close()
        return int(record["seq"])

    def submit(self, access: Access) -> Future[int]:
        """Queue one record; the future holds its sequence number once it is committed."""
        future: Future[int] = Future()
        self._waiting.put((access, future))
        return future

    def close(self) -> None:
        """Write what waits, then stop."""
        self._waiting.put(None)
        self._thread.join(timeout=30)
        if self._direct is not None:
            self._direct.close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while len(batch) < _MOST_AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get())
            is_open = None not in batch
            self._write([item for item in batch if item is not None])

    def _write(self, batch: list[tuple[Access, Future[int]]]) -> None:
        if not batch:
            return
        try:
            with self._store.write() as connection:
                last = append(connection, self._key, [access for access, _ in batch])
        except (SQLAlchemyError, StoreError) as error:
            failure = AuditError(
                "The audit record could not be written, so the answer is withheld.",
                found=type(error).__name__,
                fix="try again; if it lasts, tell the operator of the service",
            )
            for _, future in batch:
                future.set_exception(failure)
            return
        for offset, (_, future) in enumerate(batch):
            future.set_result(last - len(batch) + 1 + offset)


def subjects(dealers: Iterable[str], *, at_most: int = 1_000) -> str:
    """Write dealer keys as the subject of an audit record."""
    return " ".join(sorted(dealers)[:at_most])
