"""What an outcome must be to be kept, whoever tells it: a page, a program, a generated client.

The same rules for all: a citation is a provision of law and is kept in its one spelling; the number
of an inspection belongs to one dealer, in the store and in the records that were ingested; a visit
within twelve months of another one has a legal basis, however it is told or put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from features.domain.asof import from_numpy, parse_date
from features.errors import InvalidValueError
from features.reference.legal.citation import normalize
from features.reference.legal.twelve_month_rule import CONSUMING_KINDS, next_eligible
from features.warehouse import Warehouse, WarehouseMissingError
from serving.contract.field.outcomes import Citation, OutcomeRequest
from serving.errors import ConflictError, InvalidRequestError, LegalGateError
from serving.field.outcomes.outcomes import Kept
from serving.scores.snapshot import Snapshot
from serving.store.database import Store
from serving.store.tables import OUTCOMES


def checked(store: Store, warehouse: Path, request: OutcomeRequest, dealer: str) -> OutcomeRequest:
    """Return an outcome as it is kept.

    Raises
    ------
    InvalidRequestError
        When a citation is none, or stands twice with different values.
    ConflictError
        When the inspection is known as one of another dealer.
    """
    wrong = [n for n, one in enumerate(request.violations) if not _is_known(one.citation)]
    if wrong:
        raise InvalidRequestError(
            "What is cited is no provision of law.",
            found=", ".join(f"violations.{n}.citation" for n in wrong[:10]),
            expected="a provision such as 478.124(c)(1) or 18 USC 922(t)(5)",
        )
    if is_of_another(store, warehouse, request.inspection_id, dealer):
        raise ConflictError(
            "This inspection is known as one of another dealer.", fix="check inspection_id"
        )
    spelled = [
        one.model_copy(update={"citation": normalize(one.citation).text})
        for one in request.violations
    ]
    return request.model_copy(update={"violations": each_once(spelled)})


def each_once(cited: Sequence[Citation]) -> list[Citation]:
    """Return each provision once: the records hold one row of it, and none of two that differ.

    Raises
    ------
    InvalidRequestError
        When two entries say different things of one.
    """
    first: dict[str, int] = {}
    for n, one in enumerate(cited):
        place = first.setdefault(one.citation, n)
        if cited[place] != one:
            raise InvalidRequestError(
                "One provision is cited twice, and not alike.",
                found=f"violations.{place} and violations.{n}",
                expected="each provision once, with all its instances",
                fix="add the instances up in one entry",
            )
    return [cited[n] for n in first.values()]


def _is_known(text: str) -> bool:
    try:
        normalize(text)
    except InvalidValueError:
        return False
    return True


def is_of_another(store: Store, warehouse: Path, inspection_id: str, dealer: str) -> bool:
    """Whether a number is that of an inspection of another dealer, told here or ingested."""
    query = sa.select(OUTCOMES.c.dealer).where(OUTCOMES.c.inspection_id == inspection_id).limit(1)
    with store.read() as connection:
        told = connection.scalar(query)
    if told is not None:
        return str(told) != dealer
    known = _ingested(warehouse, inspection_id)
    return bool(known) and dealer not in known


def _ingested(warehouse: Path, inspection_id: str) -> set[str]:
    rows = _inspections(warehouse, "DISTINCT dealer", "inspection_id", inspection_id)
    return {str(row[0]) for row in rows}


def _inspections(warehouse: Path, what: str, by: str, value: str) -> list[tuple[Any, ...]]:
    import duckdb

    try:
        opened = Warehouse.open(warehouse)
    except WarehouseMissingError:
        return []
    if not opened.has("inspections"):
        return []
    query = f"SELECT {what} FROM {opened.scan('inspections')} WHERE {by} = $value"  # noqa: S608 - own names
    with duckdb.connect(config={"threads": 1}) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(query, {"value": value}).fetchall()
    return rows


@dataclass(frozen=True)
class Recorded:
    """A version of an inspection in the ingested records."""

    inspection_id: str
    kind: str
    opened_on: date
    closed_on: date | None
    is_standing: bool


def recorded(warehouse: Path, dealer: str) -> list[Recorded]:
    """Return what the ingested records hold of a dealer's inspections, every version."""
    what = "inspection_id, kind, opened_on, closed_on, superseded_on IS NULL"
    return [Recorded(*row) for row in _inspections(warehouse, what, "dealer", dealer)]


def legal_basis(
    snapshot: Snapshot,
    row: int | None,
    body: OutcomeRequest,
    *,
    versions: Sequence[Kept],
    records: Sequence[Recorded],
) -> str:
    """Return on what legal basis a visit came before the law allowed it; empty when it did not.

    A visit is judged against all others of the dealer, told here or recorded, and never against
    what was told of itself before: a correction of its kind or day is judged as a first telling.

    Parameters
    ----------
    snapshot : Snapshot
        As it was published; its last visit counts too, unless it is this very one.
    row : int or None
        The dealer's; None when the table does not have it any more.
    versions : sequence of Kept
        Every version of every outcome of the dealer, in the order kept.
    records : sequence of Recorded

    Raises
    ------
    LegalGateError
        When none is stated.
    """
    if body.kind not in CONSUMING_KINDS:
        return ""
    others = _others(snapshot, row, body.inspection_id, versions, records)
    # Before another visit it is history told late, and no second one within that one's year.
    forbidden = [until for opened, until in others if opened <= body.opened_on < until]
    if not forbidden:
        return ""
    if body.legal_basis is None:
        raise LegalGateError(
            "The dealer had been inspected in the twelve months before.",
            found=f"opened on {body.opened_on}, eligible on {max(forbidden)}",
            expected="a legal_basis for a visit within the twelve months",
        )
    return body.legal_basis


def allowed_from(
    snapshot: Snapshot,
    row: int | None,
    *,
    versions: Sequence[Kept],
    records: Sequence[Recorded],
) -> date | None:
    """Return from when on a dealer may be visited by all visits known; None without one.

    Of a dealer of the table this is what the table in force says, with what was told since.
    """
    if row is not None:
        return from_numpy(snapshot.columns["eligible_on"][row])
    return max((until for _, until in _others(snapshot, row, "", versions, records)), default=None)


def _others(
    snapshot: Snapshot,
    row: int | None,
    number: str,
    versions: Sequence[Kept],
    records: Sequence[Recorded],
) -> list[tuple[date, date]]:
    """Return when each visit but one was opened, and from when on the law allows another."""
    told = {kept.inspection_id: kept.document for kept in versions}
    visits = [
        (
            one["kind"],
            parse_date(one["opened_on"]),
            one["closed_on"] and parse_date(one["closed_on"]),
        )
        for other, one in told.items()
        if other != number
    ]
    visits += [
        (one.kind, one.opened_on, one.closed_on)
        for one in records
        if one.is_standing and one.inspection_id not in {*told, number}
    ]
    found = [
        (opened, next_eligible(opened, closed, as_of=snapshot.as_of))
        for kind, opened, closed in visits
        if kind in CONSUMING_KINDS
    ]
    if row is None:
        return found
    # The table names no inspection: what was opened on a day of this one is taken to be this one.
    days = [
        (kept.document["kind"], parse_date(kept.document["opened_on"]))
        for kept in versions
        if kept.inspection_id == number
    ]
    days += [(one.kind, one.opened_on) for one in records if one.inspection_id == number]
    own = {opened for kind, opened in days if kind in CONSUMING_KINDS}
    last = from_numpy(snapshot.table.scored["last_inspected_on"].to_numpy()[row])
    allowed = from_numpy(snapshot.table.scored["eligible_on"].to_numpy()[row])
    if last is not None and allowed is not None and last not in own:
        found.append((last, allowed))
    return found
