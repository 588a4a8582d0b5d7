"""A record of the audit chain: what it holds, its digest, and how it is added to the end."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

import sqlalchemy as sa

from serving.errors import AuditError
from serving.store.database import Store, insert_new, instant
from serving.store.tables import AUDIT, AUDIT_HEAD

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

GENESIS: Final = "0" * 64
_FIELDS: Final = (
    "seq", "at", "who", "role", "purpose", "action", "subject", "bundle", "scored", "list_id",
    "previous",
)  # fmt: skip
# As `json.dumps` writes it; kept, for making it takes longer than writing a record with it.
_in_json: Final = json.JSONEncoder(ensure_ascii=False).encode


class AuditRecord(TypedDict):
    """One access or write, as an auditor reads it."""

    seq: int
    at: str
    who: str
    role: str
    purpose: str
    action: str
    subject: str
    bundle: str
    scored: str
    list_id: str
    digest: str


class AuditRow(AuditRecord):
    """A record of the chain, as it is stored."""

    previous: str
    kept: str | None


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
    kept: str = ""


class Head(NamedTuple):
    """The end of the chain, and its signature."""

    seq: int
    digest: str
    signature: str


def torn() -> AuditError:
    """Say that the end of the chain is not as it was signed."""
    return AuditError(
        "The head of the audit chain is not as it was signed: records were cut off or put in.",
        fix="look with ffl-risk audit verify, then restore the store from a backup",
    )


def digest_of(key: bytes, record: Mapping[str, Any]) -> str:
    """Return the digest of a record, over its fields and the digest before it."""
    fields = [record[name] for name in _FIELDS]
    if record["kept"]:  # records of before have none, and keep their digests
        fields.append(record["kept"])
    return hmac.digest(key, _as_json(fields).encode(), "sha256").hex()


def _as_json(fields: Sequence[Any]) -> str:
    """Return what `_in_json` does; a number and texts, which records are, in half the time."""
    seq, *texts = fields
    if type(seq) is not int:
        return _in_json(fields)
    try:
        return f"[{seq}, {', '.join(map(encode_basestring, texts))}]"
    except TypeError:  # of a stored record that somebody changed
        return _in_json(fields)


def signature_of(key: bytes, seq: int, digest: str) -> str:
    """Return the signature of a chain that ends with this record."""
    return hmac.digest(key, f"head {seq} {digest}".encode(), "sha256").hex()


def is_signed(key: bytes, seq: int, digest: str, signature: str | None) -> bool:
    """Whether a head carries the signature of what it names."""
    return hmac.compare_digest(signature_of(key, seq, digest), signature or "")


def record_of(key: bytes, access: Access, seq: int, previous: str, at: str) -> AuditRow:
    """Return the record of an access, ready to be stored."""
    record: AuditRow = {
        "seq": seq,
        "at": at,
        "who": access.who,
        "role": access.role,
        "purpose": access.purpose,
        "action": access.action,
        "subject": access.subject,
        "bundle": access.bundle,
        "scored": access.scored,
        "list_id": access.list_id,
        "kept": access.kept,
        "previous": previous,
        "digest": "",
    }
    record["digest"] = digest_of(key, record)
    return record


def records_of(key: bytes, accesses: Sequence[Access], seq: int, previous: str) -> list[AuditRow]:
    """Return the records that follow a head, in order and of one moment."""
    records = []
    at = instant()
    for access in accesses:
        seq += 1
        record = record_of(key, access, seq, previous, at)
        previous = record["digest"]
        records.append(record)
    return records


def append(connection: Connection, key: bytes, accesses: Sequence[Access]) -> int:
    """Add records to the end of the chain within the caller's transaction; return the last seq.

    The caller's transaction must have been opened by `Store.write`: the head row is locked for its
    length, so that chains of several processes do not fork.
    """
    sql = statements(connection.dialect.name)
    head = connection.exec_driver_sql(sql.head).first()
    is_begun = connection.execute(sa.select(AUDIT.c.seq).limit(1)).first() if head is None else None
    if is_begun is not None:
        # Another writer may have begun the chain between the two looks; then there is a head now.
        head = connection.exec_driver_sql(sql.head).first()
        if head is None:
            raise torn()
    if head is None:
        # Several writers may begin the chain at once, and a row that is not there cannot be locked.
        first = {"one": 1, "seq": 0, "digest": GENESIS, "signature": signature_of(key, 0, GENESIS)}
        insert_new(connection, AUDIT_HEAD, first)
        head = connection.exec_driver_sql(sql.head).one()
    seq, previous, signature = head
    if not is_signed(key, seq, previous, signature):
        raise torn()
    records = records_of(key, accesses, seq, previous)
    seq, previous = records[-1]["seq"], records[-1]["digest"]
    connection.exec_driver_sql(sql.insert, records)
    signature = signature_of(key, seq, previous)
    connection.exec_driver_sql(
        sql.advance, {"seq": seq, "digest": previous, "signature": signature}
    )
    return int(seq)


@dataclass(frozen=True)
class _Statements:
    """The statements of one record, as the driver takes them.

    `advance_from`, for SQLite alone, moves the head on only where it is the one that was.
    """

    head: str
    insert: str
    advance: str
    advance_from: str


@cache
def statements(dialect: str) -> _Statements:
    """Write the statements once: every request waits for them, and compiling costs more."""
    mark = ":{}" if dialect == "sqlite" else "%({})s"
    names = (*_FIELDS, "digest", "kept")
    # One row, locked until the transaction ends; SQLite locks the whole file instead.
    lock = "" if dialect == "sqlite" else " FOR UPDATE"
    new, was = (joint.join(f"{name} = ?" for name in Head._fields) for joint in (", ", " AND "))
    return _Statements(
        head=f"SELECT seq, digest, signature FROM {AUDIT_HEAD.name}{lock}",  # noqa: S608 - own names
        insert=f"INSERT INTO {AUDIT.name} ({', '.join(names)}) "  # noqa: S608
        f"VALUES ({', '.join(map(mark.format, names))})",
        advance=f"UPDATE {AUDIT_HEAD.name} SET seq = {mark.format('seq')}, "  # noqa: S608
        f"digest = {mark.format('digest')}, signature = {mark.format('signature')} WHERE one = 1",
        advance_from=f"UPDATE {AUDIT_HEAD.name} SET {new} WHERE one = 1 AND {was}",  # noqa: S608
    )


def head_of(store: Store) -> tuple[int, str]:
    """Return sequence number and digest of the last record."""
    with store.read() as connection:
        head = connection.execute(sa.select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.digest)).first()
    return (0, GENESIS) if head is None else (int(head.seq), str(head.digest))


@dataclass(frozen=True)
class Ledger:
    """What a write needs to leave its record: the key, and who writes.

    Parameters
    ----------
    base : Access
        Who, as what, why; action and subject are given with each record.
    """

    key: bytes = field(repr=False)
    base: Access

    def add(self, connection: Connection, action: str, subject: str, **more: str) -> None:
        """Record a write within its own transaction.

        Parameters
        ----------
        **more
            Other fields of `Access`, such as `kept` (see `serving.access.audit.audited_rows.kept`).
        """
        access = replace(self.base, action=action, subject=subject, **more)
        append(connection, self.key, [access])


def subjects(dealers: Iterable[str]) -> str:
    """Write dealer keys as the subject of an audit record, all of them, each once."""
    return " ".join(sorted(set(dealers)))
