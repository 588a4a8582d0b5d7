"""Patterns of an on-going straw purchase: queued for agents the moment their record arrives.

A score orders inspections over weeks. These patterns are about firearms that may be moving today,
so they never wait for a list, and nothing here may be read as a reason to let a sale go on.

Three patterns, each over the opaque purchaser token (no name is ever here):

``repeat_multiple_sales``
    The same token in two or more multiple-sale reports within 30 days.
``several_dealers``
    The same token at two or more dealers within 7 days.
``fast_recovery``
    A firearm recovered within 60 days of its sale, wherever: the destination is named, and the
    reports of multiple sales that its token stands in, if any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from features.openjson import Row
from features.reference.attribution import row_counts
from features.reference.destinations import ELSEWHERE, destinations
from features.warehouse import Warehouse, WarehouseMissingError
from serving import clock
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger, subjects
from serving.contract.records.referrals import EvidenceRecord, StandingRecord
from serving.store import journal
from serving.store.database import Store, insert_new, instant, spaced_id
from serving.store.result_pages import AT_ONCE
from serving.store.rows import picked
from serving.store.tables import EVENTS, REFERRALS
from serving.store.warehouse_progress import Collected

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

REPEAT_DAYS: Final = 30
SEVERAL_DAYS: Final = 7
FAST_DAYS: Final = 60
STATEMENT: Final = (
    "Each referral is a pattern in records, for an agent to judge at once. It is not evidence, and "
    "no score or list is a reason to wait with it or to let a suspect sale go on."
)


@dataclass(frozen=True)
class Sale:
    """One multiple-sale report of a token."""

    report_id: str
    dealer: str
    sold_on: date
    n_firearms: int


@dataclass(frozen=True)
class Pattern:
    """A pattern found.

    Parameters
    ----------
    trace_dealer : str
        Of a recovery: who sold the firearm. A recovery is one pattern whatever else its token
        bought, so the sales of the token are evidence and no part of what it is.
    """

    name: str
    dealers: tuple[str, ...]
    evidence: EvidenceRecord
    trace_dealer: str = ""

    @property
    def dedup(self) -> str:
        """Same pattern over the same records, same value."""
        records = self.evidence["records"]
        return self._hash(records[:1] if self.trace_dealer else records)

    @property
    def about(self) -> frozenset[str]:
        """Dealers that a referral must name to be about this pattern."""
        return frozenset({self.trace_dealer} if self.trace_dealer else self.dealers)

    @property
    def keys(self) -> tuple[str, ...]:
        """Values of `dedup` under which it may stand in the queue already, its own first.

        A correction can name another dealer over the same records, and needs a place of its own;
        recoveries were once told apart by the sales of their token too.
        """
        records = self.evidence["records"]
        corrected = self._hash([*records[: 1 if self.trace_dealer else None], *sorted(self.about)])
        return self.dedup, corrected, self._hash(records)

    def _hash(self, records: Sequence[str]) -> str:
        text = f"{self.name}\x1f{'|'.join(records)}"
        return hashlib.sha256(text.encode()).hexdigest()


def patterns_in_sales(sales: Iterable[Sale], new: frozenset[str]) -> list[Pattern]:
    """Return the patterns among a token's reports in which one of the `new` reports takes part."""
    ordered = sorted(set(sales), key=lambda sale: (sale.sold_on, sale.report_id))
    found = []
    for latest in ordered:
        if latest.report_id not in new:
            continue
        for name, days, n_dealers in (
            ("repeat_multiple_sales", REPEAT_DAYS, 1),
            ("several_dealers", SEVERAL_DAYS, 2),
        ):
            near = [s for s in ordered if abs((s.sold_on - latest.sold_on).days) <= days]
            dealers = tuple(sorted({s.dealer for s in near}))
            if len(near) >= 2 and len(dealers) >= n_dealers:
                found.append(Pattern(name, dealers, _evidence(near)))
    return found


def _evidence(sales: Sequence[Sale]) -> EvidenceRecord:
    return {
        "records": [f"multiple_sales {s.report_id}" for s in sales],
        "n_firearms": sum(s.n_firearms for s in sales),
        "first_on": sales[0].sold_on.isoformat(),
        "last_on": sales[-1].sold_on.isoformat(),
    }


def pattern_in_trace(trace: Mapping[str, Any], sales: Sequence[Sale]) -> Pattern | None:
    """Return the pattern of a firearm that was recovered soon after its sale.

    There is none where the trace counts toward no dealer (`features.reference.attribution`).
    """
    if not row_counts(trace) or not (
        trace.get("sold_on") and trace.get("recovered_on") and trace.get("dealer")
    ):
        return None
    days = (date.fromisoformat(trace["recovered_on"]) - date.fromisoformat(trace["sold_on"])).days
    if not 0 <= days <= FAST_DAYS:
        return None
    records = [f"traces {trace['trace_id']}", *(f"multiple_sales {s.report_id}" for s in sales)]
    dealers = tuple(sorted({str(trace["dealer"]), *(s.dealer for s in sales)}))
    evidence: EvidenceRecord = {
        "records": records,
        "days_from_sale_to_recovery": days,
        "recovery_country": trace["recovery_country"],
        "destination": destination_of(str(trace["recovery_country"])),
    }
    return Pattern("fast_recovery", dealers, evidence, trace_dealer=str(trace["dealer"]))


def destination_of(country: str) -> str:
    """Return the destination that a country belongs to.

    >>> destination_of("MX"), destination_of("US")
    ('mexico', 'domestic')
    """
    found = (name for name, countries in destinations().items() if country in countries)
    return next(found, ELSEWHERE)


def find(
    store: Store, warehouse: Path, table: str, rows: Sequence[Mapping[str, Any]]
) -> list[Pattern]:
    """Return the patterns that new rows complete, with what the warehouse and the queue hold."""
    tokens = sorted({str(r["purchaser_token"]) for r in rows if r.get("purchaser_token")})
    if table not in {"multiple_sales", "traces"}:
        return []
    sales = _sales_of(store, warehouse, tokens)
    if table == "multiple_sales":
        new = frozenset(str(row["report_id"]) for row in rows)
        return [p for token in tokens for p in patterns_in_sales(sales.get(token, ()), new)]
    found = [pattern_in_trace(row, sales.get(str(row.get("purchaser_token")), [])) for row in rows]
    return [pattern for pattern in found if pattern is not None]


def _sales_of(store: Store, warehouse: Path, tokens: Sequence[str]) -> dict[str, list[Sale]]:
    """Return the sales of each token, every report as it was corrected last."""
    out: dict[str, list[Sale]] = {}
    if not tokens:
        return out
    done = Collected.of(store, warehouse)
    query = sa.select(EVENTS.c.document).where(
        EVENTS.c.source_table == "multiple_sales", EVENTS.c.event_id > done.event_id
    )
    with store.read() as connection:
        waiting = list(connection.scalars(query.order_by(EVENTS.c.event_id)))
    wanted = set(tokens)
    # A correction may take a report from one token to another: newest first, tokens then.
    rows = (*_stored_sales(warehouse, tokens), *waiting)
    for row in {str(row["report_id"]): row for row in rows}.values():
        if row["purchaser_token"] in wanted:
            sale = Sale(
                str(row["report_id"]),
                str(row["dealer"]),
                date.fromisoformat(str(row["sold_on"])),
                int(row["n_firearms"]),
            )
            out.setdefault(row["purchaser_token"], []).append(sale)
    return out


def _stored_sales(warehouse: Path, tokens: Sequence[str]) -> list[Row]:
    import duckdb

    try:
        opened = Warehouse.open(warehouse)
    except WarehouseMissingError:
        return []
    if not opened.has("multiple_sales"):
        return []
    query = (
        "SELECT report_id, dealer, CAST(sold_on AS VARCHAR) AS sold_on, n_firearms, "  # noqa: S608
        f"purchaser_token FROM {opened.scan('multiple_sales')} "
        "WHERE superseded_on IS NULL AND purchaser_token IN (SELECT unnest($tokens))"
    )
    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute(query, {"tokens": list(tokens)})
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def queue(store: Store, patterns: Sequence[Pattern], *, ledger: Ledger) -> int:
    """Queue patterns that are not queued yet, with the record of it; return how many were new.

    The queue is dealer-level too: what put a dealer there is on record.
    """
    n_new = 0
    if not patterns:
        return n_new
    with store.write() as connection:
        journal.lock(connection)
        for pattern in {p.dedup: p for p in patterns}.values():
            dedup = _free_key(connection, pattern)
            if dedup is None:
                continue
            row = {
                "referral_id": spaced_id(connection, REFERRALS.c.referral_id),
                "pattern": pattern.name,
                "dedup": dedup,
                "dealers": list(pattern.dealers),
                "evidence": dict(pattern.evidence),
                "destination": pattern.evidence.get("destination"),
                "opened_at": instant(),
            }
            referral_id = insert_new(connection, REFERRALS, row)
            if referral_id is not None:
                n_new += 1
                journal.note(connection, "referral", str(referral_id), pattern.dealers)
                kept = kept_now(connection, "referral", referral_id)
                ledger.add(connection, "refer", subjects(pattern.dealers), kept=kept)
    return n_new


def _free_key(connection: Connection, pattern: Pattern) -> str | None:
    """Return what a pattern goes into the queue as, None when a referral is about it already."""
    query = sa.select(REFERRALS.c.dedup, REFERRALS.c.dealers)
    found = connection.execute(query.where(REFERRALS.c.dedup.in_(pattern.keys))).all()
    if any(pattern.about <= set(row.dealers) for row in found):
        return None
    taken = {row.dedup for row in found}
    return next((key for key in pattern.keys if key not in taken), None)


def one_of(store: Store, referral_id: int) -> StandingRecord | None:
    """Return a referral, None when there is none of that number."""
    query = sa.select(REFERRALS).where(REFERRALS.c.referral_id == referral_id)
    with store.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else picked(StandingRecord, row._mapping)


def queued(
    store: Store, *, before: int | None = None, since: timedelta = timedelta(days=90)
) -> Iterator[StandingRecord]:
    """Read the queue, newest first, from below the number `before` on."""
    first = instant(clock.now() - since)
    # One that is not closed stays in the queue, however old.
    is_current = sa.or_(REFERRALS.c.opened_at >= first, REFERRALS.c.closed_at.is_(None))
    query = sa.select(REFERRALS).where(is_current).order_by(REFERRALS.c.referral_id.desc())
    if before is not None:
        query = query.where(REFERRALS.c.referral_id < before)
    with store.read() as connection:
        for row in connection.execute(query.execution_options(yield_per=AT_ONCE)):
            yield picked(StandingRecord, row._mapping)
