"""Decisions and outcomes read back: those about dealers of the caller's area, held ones never.

An inspector reads the decisions that were their own; who leads an area, and the machine that plans
for it, reads all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.access.roles import READS_OWN_DECISIONS
from serving.contract.records.field import KeptOutcomeRecord, ToldRecord
from serving.contract.records.lists import KeptDecisionRecord
from serving.errors import UnknownRecordError
from serving.field.dealer_places import DealerPlaces
from serving.store.database import Store
from serving.store.result_pages import AT_ONCE, page
from serving.store.rows import picked
from serving.store.tables import DECISIONS, OUTCOMES

_NONE: Final = "There is no such record within your area."
Shown = TypeVar("Shown")


def decision_page(
    store: Store,
    principal: Principal,
    places: DealerPlaces,
    *,
    after: int,
    limit: int,
    of: Mapping[str, str | None],
) -> tuple[list[KeptDecisionRecord], int | None]:
    """Return decisions after a number, and the number to read on from, None at the end.

    Parameters
    ----------
    of : mapping of str to str or None
        Columns that must have a value; None for any.
    """
    query = sa.select(DECISIONS).where(DECISIONS.c.decision_id > after)
    query = _own(query, principal).order_by(DECISIONS.c.decision_id)
    found = _read(store, _of(query, DECISIONS, of), places, limit=limit, write=_decision)
    return found[0], found[1] and int(found[0][-1]["decision_id"])


def decision_of(
    store: Store, principal: Principal, places: DealerPlaces, decision_id: int
) -> KeptDecisionRecord:
    """Return one decision.

    Raises
    ------
    UnknownRecordError
        When there is none, or it is not the caller's to read; the two are alike.
    """
    query = sa.select(DECISIONS).where(DECISIONS.c.decision_id == decision_id)
    found, _ = _read(store, _own(query, principal), places, limit=1, write=_decision)
    if not found:
        raise UnknownRecordError(_NONE)
    return found[0]


def outcome_page(
    store: Store, places: DealerPlaces, *, after: int, limit: int, of: Mapping[str, str | None]
) -> tuple[list[KeptOutcomeRecord], int | None]:
    """Return outcomes, every version, after a number, and the number to read on from."""
    query = sa.select(OUTCOMES).where(OUTCOMES.c.outcome_id > after)
    query = _of(query.order_by(OUTCOMES.c.outcome_id), OUTCOMES, of)
    found = _read(store, query, places, limit=limit, write=_outcome)
    return found[0], found[1] and int(found[0][-1]["outcome_id"])


def outcome_of(
    store: Store, places: DealerPlaces, inspection_id: str, version: int | None
) -> KeptOutcomeRecord:
    """Return a version of an outcome, by default the newest.

    Raises
    ------
    UnknownRecordError
        When there is none, or it is not the caller's to read; the two are alike.
    """
    query = sa.select(OUTCOMES).where(OUTCOMES.c.inspection_id == inspection_id)
    if version is not None:
        query = query.where(OUTCOMES.c.version == version)
    query = query.order_by(OUTCOMES.c.version.desc()).limit(1)
    found, _ = _read(store, query, places, limit=1, write=_outcome)
    if not found:
        raise UnknownRecordError(_NONE)
    return found[0]


def _own(query: sa.Select[Any], principal: Principal) -> sa.Select[Any]:
    if principal.role in READS_OWN_DECISIONS:
        return query.where(DECISIONS.c.who == principal.name)
    return query


def _of(query: sa.Select[Any], table: sa.Table, of: Mapping[str, str | None]) -> sa.Select[Any]:
    for name, wanted in of.items():
        if wanted is not None:
            query = query.where(table.c[name] == wanted)
    return query


def _read(
    store: Store,
    query: sa.Select[Any],
    places: DealerPlaces,
    *,
    limit: int,
    write: Callable[[sa.RowMapping], Shown],
) -> tuple[list[Shown], bool | None]:
    """Return what is shown of a query, and True when more follows, else None."""

    def shown(row: sa.Row[Any]) -> Shown | None:
        return write(row._mapping) if places.is_theirs(row.dealer) else None

    with store.read() as connection:
        rows = connection.execute(query.execution_options(yield_per=AT_ONCE))
        found, has_more = page(rows, shown, limit)
    return found, has_more or None


def _decision(row: sa.RowMapping) -> KeptDecisionRecord:
    return picked(KeptDecisionRecord, row)


def _outcome(row: sa.RowMapping) -> KeptOutcomeRecord:
    # What was told to an earlier version lacks the design of the visit.
    told = dict.fromkeys(ToldRecord.__annotations__) | row["document"]
    return {
        "outcome_id": row["outcome_id"],
        "inspection_id": row["inspection_id"],
        "version": row["version"],
        "dealer": row["dealer"],
        **picked(ToldRecord, told),
        "who": row["who"],
        "at": row["at"],
    }
