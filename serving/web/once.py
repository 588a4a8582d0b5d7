"""A form sent twice is kept once: a double click, or a page gone back to, makes no second thing.

Each showing of a form carries a token of its own. The same fields with the same token are the same
write: it is noted in the transaction that keeps it, as a write under an `Idempotency-Key` is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from starlette.datastructures import FormData

from serving.api.callers import Caller
from serving.errors import ConflictError
from serving.store import journal
from serving.store.database import Store
from serving.store.tables import IDEMPOTENCY
from serving.web.sign_in.visitor import text

FIELD = "once"


@dataclass(frozen=True)
class Once:
    """One sending of a form, known by its token and fields.

    Parameters
    ----------
    store : Store
    key : str
        Empty for a form without a token: it is kept as often as it is sent.
    """

    store: Store
    key: str

    @classmethod
    def of(cls, caller: Caller, form: FormData) -> Once:
        """Return what identifies a form that was sent."""
        if not text(form, FIELD):
            return cls(caller.runtime.store, "")
        fields = sorted((n, v) for n, v in form.multi_items() if n != "csrf")
        words = repr((caller.principal.name, fields))
        return cls(caller.runtime.store, hashlib.sha256(f"form {words}".encode()).hexdigest())

    async def known(self) -> str:
        """Return what was kept of the form when it was sent before; empty when nothing."""
        return await asyncio.to_thread(self._known) if self.key else ""

    def _known(self) -> str:
        query = sa.select(IDEMPOTENCY.c.ref).where(IDEMPOTENCY.c.key_sha256 == self.key)
        with self.store.read() as connection:
            return str(connection.scalar(query) or "")

    async def keep(self, write: Callable[[], str]) -> str:
        """Make the write of the form, and return what it kept, or what the other sending kept."""
        if not self.key:
            return await asyncio.to_thread(write)
        key = journal.Keyed(self.key, self.key)
        token = journal.keyed.set(key)
        try:
            return await asyncio.to_thread(write)
        except ConflictError:
            if not key.is_taken:
                raise
            return await self.known()
        finally:
            journal.keyed.reset(token)
