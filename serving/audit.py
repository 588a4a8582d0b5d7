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
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from serving.errors import AuditError, StoreError
from serving.store import Store, instant
from serving.tables import AUDIT, AUDIT_HEAD

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

GENESIS: Final = "0" * 64
_FIELDS: Final = (
    "seq", "at", "who", "role", "purpose", "action", "subject", "bundle", "scored", "list_id",
    "previous",
)  # fmt: skip
_INSERT: Final = AUDIT.insert()
_ADVANCE: Final = AUDIT_HEAD.update().where(AUDIT_HEAD.c.one == 1)
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


def append(connection: Connection, key: bytes, accesses: Sequence[Access]) -> int:
    """Add records to the end of the chain within the caller's transaction; return the last seq.

    The caller's transaction must have been opened by `Store.write`: the head row is locked for its
    length, so that chains of several processes do not fork.
    """
    query = sa.select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.digest).with_for_update()
    head = connection.execute(query).first()
    if head is None:
        connection.execute(AUDIT_HEAD.insert(), {"one": 1, "seq": 0, "digest": GENESIS})
        seq, previous = 0, GENESIS
    else:
        seq, previous = head
    records = []
    at = instant()
    for access in accesses:
        seq += 1
        record = {"seq": seq, "at": at, **access.__dict__, "previous": previous}
        record["digest"] = previous = _digest(key, record)
        records.append(record)
    connection.execute(_INSERT, records)
    connection.execute(_ADVANCE, {"seq": seq, "digest": previous})
    return int(seq)


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
        self._waiting: queue.SimpleQueue[tuple[Access, Future[int]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def submit(self, access: Access) -> Future[int]:
        """Queue one record; the future holds its sequence number once it is committed."""
        future: Future[int] = Future()
        self._waiting.put((access, future))
        return future

    def close(self) -> None:
        """Write what waits, then stop."""
        self._waiting.put(None)
        self._thread.join(timeout=30)

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
