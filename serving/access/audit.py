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
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from serving import metrics
from serving.background import Loop
from serving.errors import AuditError
from serving.store.database import Store, insert_new, instant
from serving.store.journal import store_identity
from serving.store.tables import AUDIT, AUDIT_HEAD, IDENTITY

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

GENESIS: Final = "0" * 64
_FIELDS: Final = (
    "seq", "at", "who", "role", "purpose", "action", "subject", "bundle", "scored", "list_id",
    "previous",
)  # fmt: skip
_MOST_AT_ONCE: Final = 512
_PROBE_SECONDS: Final = 2.0


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


def chain_key(store: Store, path: Path) -> bytes:
    """Return the key of the store's chain: the one in `path`, made there for a store without any.

    A key is proved before anything is recorded with it: one record under another key would make
    every verification from then on fail.

    Raises
    ------
    AuditError
        When the store's chain was begun with another key, or its key is missing here.
    """
    known = _key_check(store)
    last = _last_record(store)
    if not path.exists() and (known is not None or last is not None):
        raise AuditError(
            "The key of the audit chain is missing.",
            found=f"no file {path.name}",
            expected="the key that the records of this store were made with",
            fix="copy audit.key from the home that uses this store, or from a backup; "
            "FFL_RISK_AUDIT_KEY_FILE names it",
        )
    key = load_key(path)
    if known is None and last is not None and not _is_own(key, last):
        raise _foreign(path)
    if known is None:
        known = _claim(store, key)
    if not hmac.compare_digest(known, _check_of(key)):
        raise _foreign(path)
    return key


def _foreign(path: Path) -> AuditError:
    return AuditError(
        "The audit key is not the one of this store's chain.",
        found=f"another key in {path.name}",
        expected="the key that the records of this store were made with",
        fix="copy audit.key from the home that uses this store, or from a backup; "
        "FFL_RISK_AUDIT_KEY_FILE names it",
    )


def _check_of(key: bytes) -> str:
    """Return what shows that a key is the same, and tells nothing else about it."""
    return hmac.new(key, b"ffl-risk audit key", hashlib.sha256).hexdigest()


def _key_check(store: Store) -> str | None:
    with store.read() as connection:
        found = connection.scalar(sa.select(IDENTITY.c.key_check))
    return None if found is None else str(found)


def _last_record(store: Store) -> dict[str, Any] | None:
    with store.read() as connection:
        row = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    return None if row is None else dict(row._mapping)


def _is_own(key: bytes, record: dict[str, Any]) -> bool:
    return hmac.compare_digest(_digest(key, record), record["digest"])


def _claim(store: Store, key: bytes) -> str:
    """Note the key as the chain's unless another home did meanwhile; return the one noted."""
    with store.write() as connection:
        store_identity(connection)
        unclaimed = IDENTITY.c.key_check.is_(None)
        connection.execute(IDENTITY.update().where(unclaimed).values(key_check=_check_of(key)))
        return str(connection.scalar(sa.select(IDENTITY.c.key_check)))


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
        self._loop = Loop("audit", self._round, pause=0.0, patience=30.0)
        self._loop.start()

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
        self._loop.wake()
        return future

    def close(self) -> None:
        """Write what waits, then stop."""
        self._loop.stopping.set()
        self._waiting.put(None)
        self._loop.close(seconds=30)
        while not self._waiting.empty():
            left = self._waiting.get()
            if left is not None and left[1].set_running_or_notify_cancel():
                left[1].set_exception(AuditError("The service stops."))
        if self._direct is not None:
            self._direct.close()

    @property
    def loop(self) -> Loop:
        """The thread that writes: kept alive and asked for its health with the others."""
        return self._loop

    def _round(self) -> None:
        """Write all that waits, once."""
        try:
            waiting = [self._waiting.get(timeout=_PROBE_SECONDS)]
        except queue.Empty:
            if self._loop.is_ill:  # nobody asks a service that says it is not ready: see for itself
                with self._store.write() as connection:
                    connection.execute(sa.select(AUDIT_HEAD.c.seq))
            return
        while len(waiting) < _MOST_AT_ONCE and not self._waiting.empty():
            waiting.append(self._waiting.get())
        # Whoever stopped waiting was told that there is no answer, so there is nothing to record;
        # from here on a future cannot be cancelled, and setting it cannot fail.
        batch = [
            item for item in waiting if item is not None and item[1].set_running_or_notify_cancel()
        ]
        if batch:
            self._write(batch)

    def _write(self, batch: list[tuple[Access, Future[int]]]) -> None:
        try:
            with self._store.write() as connection:
                last = append(connection, self._key, [access for access, _ in batch])
        except Exception as error:
            metrics.AUDIT_FAILURES.inc(len(batch))
            failure = AuditError(
                "The audit record could not be written, so the answer is withheld.",
                found=type(error).__name__,
                fix="try again; if it lasts, tell the operator of the service",
            )
            for _, future in batch:
                future.set_exception(failure)
            # The loop counts it, says so in the log, and goes on.
            raise failure from error
        for offset, (_, future) in enumerate(batch):
            future.set_result(last - len(batch) + 1 + offset)


def subjects(dealers: Iterable[str], *, at_most: int = 1_000) -> str:
    """Write dealer keys as the subject of an audit record."""
    return " ".join(sorted(dealers)[:at_most])
