"""The audit chain: one append-only record for each access to dealer-level data.

Each record's digest is an HMAC over its fields and the digest before it, so a record changed,
removed or put in between breaks the chain from there on, and whoever can write the database but
has not the key cannot mend it. A head row names the end and is signed with the same key, so that a
chain cut short shows too, and nothing is ever added to a chain whose head does not carry its
signature. A head kept from earlier and put back is told only by what was noted down elsewhere:
see `serving.access.audit.witness`.

A record of a write holds the digest of the row that was written in the same transaction
(`serving.access.audit.audited_rows`): a decision, outcome, hold or role changed afterwards shows as
well.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

import sqlalchemy as sa

from serving import metrics
from serving.access.audit.hash_chain import (
    GENESIS,
    Access,
    Head,
    Ledger,
    append,
    head_of,
    is_signed,
    records_of,
    signature_of,
    statements,
    subjects,
)
from serving.access.audit.key import chain_key, load_key, open_chain
from serving.access.audit.verification import Verdict, verify
from serving.access.audit.witness import Witness
from serving.background import Loop
from serving.errors import AuditError
from serving.store.database import Store
from serving.store.tables import AUDIT_HEAD

__all__ = [
    "GENESIS", "Access", "AuditWriter", "Ledger", "Verdict", "append", "chain_key", "head_of",
    "load_key", "open_chain", "subjects", "verify",
]  # fmt: skip

_MOST_AT_ONCE: Final = 512
_PROBE_SECONDS: Final = 2.0


class AuditWriter:
    """Writes records from one thread, all that are waiting in one transaction.

    A caller awaits the returned future before it answers: what cannot be recorded is not shown.
    """

    def __init__(
        self, store: Store, key: bytes, witness: Witness, direct: sqlite3.Connection | None
    ) -> None:
        self._store, self._key = store, key
        self._witness, self._direct = witness, direct
        self._waiting: queue.SimpleQueue[tuple[Access, Future[int]] | None] = queue.SimpleQueue()
        self._turn: list[tuple[Access, asyncio.Future[int]]] = []
        self._own: Head | None = None  # the end of the chain, as this thread signed it
        self._loop = Loop("audit", self._round, pause=0.0, patience=30.0)

    @classmethod
    def open(cls, store: Store, key: bytes, witness: Witness | None = None) -> AuditWriter:
        """Take a connection of the store's and begin to write; `close` ends it."""
        writer = cls(store, key, witness or Witness(""), store.direct_connection())
        writer._loop.start()
        return writer

    async def record(self, access: Access, *, is_alone: bool = False) -> int:
        """Write one record and return its number once it is committed.

        Handing a record to another thread and back costs more than writing it, so it is written in
        the event loop's thread where that takes no waiting: with all that were asked for in the
        same turn of the loop, in one transaction. Only one loop may call this.

        Parameters
        ----------
        is_alone : bool
            Whether no other request is being answered, so that nothing is to be waited for.

        Raises
        ------
        AuditError
            When it could not be written: the answer must then not be given.
        """
        if self._direct is None:
            return await asyncio.wrap_future(self.submit(access))
        if is_alone and not self._turn and (number := self._at_once(access)) is not None:
            return number
        loop = asyncio.get_running_loop()
        if not self._turn:
            # Behind all requests that came in this turn.
            loop.call_soon(self._end_turn)
        future: asyncio.Future[int] = loop.create_future()
        self._turn.append((access, future))
        return await future

    def _at_once(self, access: Access) -> int | None:
        """Write one record now, or leave it, and what is wrong, to whoever writes otherwise."""
        try:
            return self.write_now([access])
        except Exception:  # noqa: BLE001 - the thread says what is wrong
            return None

    def _end_turn(self) -> None:
        """Write what this turn of the event loop gathered, or leave it to the thread."""
        # Whoever stopped waiting was told that there is no answer.
        asked = [item for item in self._turn if not item[1].cancelled()]
        self._turn.clear()
        try:
            last = self.write_now([access for access, _ in asked]) if asked else 0
        except Exception:  # noqa: BLE001 - nobody waits here: the thread says what is wrong
            last = None
        for n, (access, future) in enumerate(asked, start=1 - len(asked)):
            if last is None:
                _hand_on(self.submit(access), future)
            else:
                future.set_result(last + n)

    def write_now(self, accesses: Sequence[Access]) -> int | None:
        """Write records in the caller's thread if that takes no waiting; else return None.

        Only one thread may call this. A store on a server, a lock held by another writer and every
        fault are left to `submit`, which may wait and which says what went wrong.
        """
        if self._direct is None or not self._waiting.empty():
            return None
        cursor = self._direct.cursor()
        own, self._own = self._own, None
        try:
            cursor.execute("BEGIN IMMEDIATE")
            # What this writer signed last and is still there, field by field, need not be proved.
            after = None if own is None else self._advanced(cursor, accesses, own)
            if after is None:
                found = cursor.execute(statements("sqlite").head).fetchone()
                head = None if found is None else Head(*found)
                if head is None or not is_signed(self._key, *head):
                    return None
                after = self._advanced(cursor, accesses, head)
            if after is None:
                return None
            cursor.execute("COMMIT")
            self._own = after
            self._witness.note(after.seq, after.digest)
        except sqlite3.Error:
            return None
        finally:
            # Whatever went wrong: a transaction left open would keep the thread waiting for it.
            if self._direct.in_transaction:
                cursor.execute("ROLLBACK")
            cursor.close()
        return after.seq

    def _advanced(
        self, cursor: sqlite3.Cursor, accesses: Sequence[Access], head: Head
    ) -> Head | None:
        """Write records behind a head and return the new one, None where the head is another."""
        sql = statements("sqlite")
        records = records_of(self._key, accesses, head.seq, head.digest)
        seq, digest = records[-1]["seq"], records[-1]["digest"]
        after = Head(seq, digest, signature_of(self._key, seq, digest))
        if cursor.execute(sql.advance_from, (*after, *head)).rowcount != 1:
            return None
        cursor.executemany(sql.insert, records)
        return after

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
        self._witness.close()
        if self._direct is not None:
            self._direct.close()

    def testify(self) -> None:
        """Send the newest head to where heads are noted, if it was not sent yet."""
        self._witness.send()

    def tidy(self) -> None:
        """Take what was written into the store's own file: else an answer does it, and waits."""
        if self._direct is not None:
            self._store.checkpoint()

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
                digest = connection.scalar(sa.select(AUDIT_HEAD.c.digest))
            self._witness.note(last, str(digest))
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


def _hand_on(written: Future[int], to: asyncio.Future[int]) -> None:
    """Give what a thread will have written to whoever waits in the event loop."""
    wrapped = asyncio.wrap_future(written, loop=to.get_loop())

    def handed(done: asyncio.Future[int]) -> None:
        if to.cancelled() or done.cancelled():
            return
        if (error := done.exception()) is not None:
            to.set_exception(error)
        else:
            to.set_result(done.result())

    wrapped.add_done_callback(handed)
    to.add_done_callback(lambda left: wrapped.cancel() if left.cancelled() else None)
