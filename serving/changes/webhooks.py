"""Who is told of what is written: registered by the operator, for an account, under a secret.

Whoever receives is told that something the account may see was written, never what it says: no
dealer is named, and what it was is asked for with a token. What waits is the order of changes
itself, from where the webhook's cursor stands, so nothing is lost when a process ends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from serving import clock
from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger
from serving.access.roles import ACCESS
from serving.changes.visible_changes import KINDS
from serving.errors import InvalidRequestError, UnknownRecordError
from serving.store import journal
from serving.store.database import Store, instant
from serving.store.tables import ACCOUNTS, CURSORS, WEBHOOKS

_FIRST_WAIT: Final = 20.0
_LONGEST_WAIT: Final = 3_600.0


@dataclass(frozen=True)
class Webhook:
    """Who is told.

    Parameters
    ----------
    account : str
        Whose area, role and holds say what is told.
    kinds : tuple of str
        Kinds of changes.
    salt : str
        What the secret follows from, with the audit's key.
    """

    webhook_id: str
    url: str
    kinds: tuple[str, ...]
    account: str
    salt: str


@dataclass(frozen=True)
class Standing:
    """How far a webhook has come, and how its last attempts went."""

    seq: int
    n_failed: int
    at: str

    def is_due(self, now: datetime) -> bool:
        """Whether the wait after a failure is over: 20 seconds, then twice as long each time."""
        if not self.n_failed:
            return True
        wait = min(_FIRST_WAIT * 2.0 ** (self.n_failed - 1), _LONGEST_WAIT)
        # A clock that was set back does not stop it for longer than the wait itself.
        gone = now - datetime.fromisoformat(self.at)
        return gone >= timedelta(seconds=wait) or gone < -timedelta(seconds=1)


def add(
    store: Store, url: str, account: str, kinds: Sequence[str], *, ledger: Ledger
) -> tuple[Webhook, str]:
    """Register a webhook with the record of it; return it and its secret, which is kept nowhere.

    Raises
    ------
    InvalidRequestError
        When there is no such account, it may not follow changes, or a kind is none.
    """
    if wrong := set(kinds) - set(KINDS):
        raise InvalidRequestError(
            f"{min(wrong)!r} is no kind of change.", expected=", ".join(KINDS)
        )
    row = {
        "webhook_id": f"W-{secrets.token_hex(8)}",
        "url": url,
        "kinds": sorted(kinds or KINDS),
        "account": account,
        "salt": secrets.token_hex(16),
        "who": ledger.base.who,
        "at": instant(),
    }
    if principal_of(store, account) is None:
        raise InvalidRequestError(
            f"There is no account {account!r} that may follow changes.",
            expected=" or ".join(sorted(ACCESS["changes"])),
        )
    with store.write() as connection:
        seq = journal.lock(connection)
        connection.execute(WEBHOOKS.insert(), row)
        cursor = {"name": row["webhook_id"], "seq": seq, "n_failed": 0, "at": row["at"]}
        connection.execute(CURSORS.insert(), cursor)
        kept = kept_now(connection, "webhook", str(row["webhook_id"]))
        ledger.add(connection, "add_webhook", f"{row['webhook_id']} {account}", kept=kept)
    hook = _webhook(row)
    return hook, secret_of(ledger.key, hook)


def remove(store: Store, webhook_id: str, *, ledger: Ledger) -> None:
    """Tell a webhook nothing any more, with the record of it.

    Raises
    ------
    UnknownRecordError
        When there is none.
    """
    which = sa.and_(WEBHOOKS.c.webhook_id == webhook_id, WEBHOOKS.c.removed_at.is_(None))
    with store.write() as connection:
        if not connection.execute(
            WEBHOOKS.update().where(which).values(removed_at=instant())
        ).rowcount:
            raise UnknownRecordError(f"There is no webhook {webhook_id!r}.")
        kept = kept_now(connection, "webhook", webhook_id)
        ledger.add(connection, "remove_webhook", webhook_id, kept=kept)


def registered(store: Store) -> list[tuple[Webhook, Standing]]:
    """Return every webhook that is told, and how far it has come."""
    names = (*(WEBHOOKS.c[n] for n in Webhook.__dataclass_fields__), CURSORS.c.seq)
    query = (
        sa.select(*names, CURSORS.c.n_failed, CURSORS.c.at)
        .join(CURSORS, CURSORS.c.name == WEBHOOKS.c.webhook_id)
        .where(WEBHOOKS.c.removed_at.is_(None))
        .order_by(WEBHOOKS.c.at)
    )
    with store.read() as connection:
        rows = connection.execute(query).fetchall()
    return [(_webhook(row._mapping), Standing(row.seq, row.n_failed, row.at)) for row in rows]


def secret_of(key: bytes, hook: Webhook) -> str:
    """Return the secret that a webhook's messages are signed with."""
    return f"whsec_{base64.b64encode(_secret(key, hook)).decode()}"


def _secret(key: bytes, hook: Webhook) -> bytes:
    told = f"webhook {hook.webhook_id} {hook.salt}".encode()
    return hmac.new(key, told, hashlib.sha256).digest()


def signed(key: bytes, hook: Webhook, message_id: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove who sent a message and when (standardwebhooks.com)."""
    content = b".".join((message_id.encode(), str(at).encode(), body))
    digest = hmac.new(_secret(key, hook), content, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def claim(store: Store, hook: Webhook, standing: Standing, *, ledger: Ledger, subject: str) -> bool:
    """Take the next attempt, with the record of what is sent; False when another worker has.

    The attempt counts as failed until `passed` says otherwise: of a process that ends meanwhile
    nothing else is known.
    """
    as_it_was = sa.and_(
        CURSORS.c.name == hook.webhook_id,
        CURSORS.c.seq == standing.seq,
        CURSORS.c.n_failed == standing.n_failed,
        CURSORS.c.at == standing.at,
    )
    values = {"n_failed": standing.n_failed + 1, "at": instant()}
    with store.write() as connection:
        if not connection.execute(CURSORS.update().where(as_it_was).values(**values)).rowcount:
            return False
        ledger.add(connection, "webhook", f"{hook.webhook_id} {subject}")
    return True


def passed(store: Store, hook: Webhook, *, before: int, seq: int) -> None:
    """Note that everything up to a change was told, or is nothing to be told."""
    which = sa.and_(CURSORS.c.name == hook.webhook_id, CURSORS.c.seq == before)
    with store.write() as connection:
        values = {"seq": seq, "n_failed": 0, "at": instant()}
        connection.execute(CURSORS.update().where(which).values(**values))


def principal_of(store: Store, account: str) -> Principal | None:
    """Return an account as who may follow changes, None when it may not."""
    with store.read() as connection:
        row = connection.execute(sa.select(ACCOUNTS).where(ACCOUNTS.c.name == account)).first()
    if row is None or not row.is_active or row.role not in ACCESS["changes"]:
        return None
    return Principal(row.name, row.role, frozenset(row.areas), "webhook")


def _webhook(row: Any) -> Webhook:
    return Webhook(row["webhook_id"], row["url"], tuple(row["kinds"]), row["account"], row["salt"])


def now() -> datetime:
    """Return the time by which attempts are reckoned."""
    return clock.now()
