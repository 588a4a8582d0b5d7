"""The key of the audit chain: one a store, proved before anything is recorded with it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from serving.access.audit.hash_chain import (
    Access,
    AuditRow,
    append,
    digest_of,
    is_signed,
    signature_of,
    torn,
)
from serving.access.audit.verification import verify
from serving.errors import AuditError
from serving.store.database import Store
from serving.store.journal import store_identity
from serving.store.rows import picked
from serving.store.tables import AUDIT, AUDIT_HEAD, IDENTITY

_SEAL: Final = "seal_head"  # the record of the day on which an older chain got its signature


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


def _last_record(store: Store) -> AuditRow | None:
    with store.read() as connection:
        row = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    return None if row is None else picked(AuditRow, row._mapping)


def _is_own(key: bytes, record: AuditRow) -> bool:
    return hmac.compare_digest(digest_of(key, record), record["digest"])


def _claim(store: Store, key: bytes) -> str:
    """Note the key as the chain's unless another home did meanwhile; return the one noted."""
    with store.write() as connection:
        store_identity(connection)
        unclaimed = IDENTITY.c.key_check.is_(None)
        connection.execute(IDENTITY.update().where(unclaimed).values(key_check=_check_of(key)))
        return str(connection.scalar(sa.select(IDENTITY.c.key_check)))


def open_chain(store: Store, path: Path) -> bytes:
    """Return the proved key of the store's chain, once the chain's end is as it was signed.

    Raises
    ------
    AuditError
        When the key is not the chain's, or records were cut off or put in at the end.
    """
    key = chain_key(store, path)
    with store.read() as connection:
        head = connection.execute(sa.select(AUDIT_HEAD)).first()
    if head is None:
        if _last_record(store) is not None:
            raise torn()
    elif head.signature is None:
        _seal(store, key)
    elif not is_signed(key, head.seq, head.digest, head.signature):
        raise torn()
    return key


def _seal(store: Store, key: bytes) -> None:
    """Sign the head of a chain from before heads were signed, once it is known to be whole."""
    verdict = verify(store, key, is_sealed=False)
    with store.read() as connection:
        was_sealed = connection.scalar(
            sa.select(sa.func.count()).select_from(AUDIT).where(AUDIT.c.action == _SEAL)
        )
    if not verdict.is_intact or was_sealed:
        raise torn()
    with store.write() as connection:
        head = connection.execute(sa.select(AUDIT_HEAD)).one()
        if head.signature is None:
            signature = signature_of(key, head.seq, head.digest)
            connection.execute(AUDIT_HEAD.update().values(signature=signature))
            append(connection, key, [Access("ffl-risk", "", _SEAL, f"after record {head.seq}")])
