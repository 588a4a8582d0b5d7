"""Whether the audit chain is whole, and what it covers is as it was recorded."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from serving.access.audit.audited_rows import Recorded, differences
from serving.access.audit.hash_chain import GENESIS, digest_of, is_signed
from serving.store.database import Store
from serving.store.tables import AUDIT, AUDIT_HEAD

_UNSEALED: Final = (
    "the head of the chain carries no signature; in a store of version 0.1 it gets one when the "
    "service first opens it, in any other it was taken away"
)


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Parameters
    ----------
    n_uncovered : int
        Decisions, outcomes, holds, accounts and the like from before their writes were covered.
    """

    n_records: int
    is_intact: bool
    broken_at: int | None = None
    why: str = ""
    head: str = GENESIS
    n_uncovered: int = 0


def verify(
    store: Store,
    key: bytes,
    *,
    anchor: tuple[int, str] | None = None,
    anchors: Mapping[int, str] | None = None,
    is_sealed: bool = True,
) -> Verdict:
    """Walk the whole chain and say whether anything was changed or removed.

    Parameters
    ----------
    anchor : (int, str), optional
        One more of the `anchors`.
    anchors : mapping of int to str, optional
        Sequence numbers and digests noted down elsewhere earlier; they must still match. They show
        a chain that was cut, or thrown away and begun again, by someone who has the key or an old
        copy of the head.
    is_sealed : bool
        Whether the head must carry its signature; not before it was first given one.
    """
    previous, n, noted = GENESIS, 0, dict(anchors or {}) | dict([anchor] if anchor else [])
    recorded = Recorded()
    with store.read_unchanging() as connection:
        for row in connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq)).yield_per(10_000):
            record = dict(row._mapping)
            n += 1
            if record["seq"] != n:
                return Verdict(n - 1, False, n, f"record {n} is missing", previous)
            if record["previous"] != previous:
                return Verdict(n, False, n, f"record {n} does not follow record {n - 1}", previous)
            if not hmac.compare_digest(digest_of(key, record), record["digest"]):
                return Verdict(n, False, n, f"record {n} was changed", previous)
            previous = record["digest"]
            if noted.pop(n, previous) != previous:
                return Verdict(n, False, n, f"record {n} is not the one noted", previous)
            if record["kept"]:
                recorded.add(record["kept"], seq=n, at=record["at"])
        head = connection.execute(sa.select(AUDIT_HEAD)).first()
        end = (0, GENESIS, None) if head is None else (head.seq, head.digest, head.signature)
        if end[:2] == (n, previous) and is_sealed and n and end[2] is None:
            return Verdict(n, False, n + 1, _UNSEALED, previous)
        if end[:2] != (n, previous) or (
            is_sealed and n and not is_signed(key, n, previous, end[2])
        ):
            return Verdict(n, False, n + 1, f"the chain is cut short after record {n}", previous)
        if noted:
            why = f"the chain ends at record {n}, and record {min(noted)} was noted elsewhere"
            return Verdict(n, False, min(noted), why, previous)
        found, n_uncovered = differences(connection, recorded)
    if found is not None:
        return Verdict(n, False, found.seq, found.why, previous, n_uncovered)
    return Verdict(n, True, None, "", previous, n_uncovered)
