"""Visits whose outcome was told since an instant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa

from serving.store.database import Store
from serving.store.tables import OUTCOMES

_AT_ONCE: Final = 500


def visited_since(
    store: Store, dealers: Collection[str], since: str
) -> dict[str, tuple[Mapping[str, Any], str]]:
    """Return the newest visit, and its number, of each dealer told first since an instant.

    A correction of what was told before is no new visit.
    """
    first = sa.select(OUTCOMES.c.inspection_id).group_by(OUTCOMES.c.inspection_id)
    first = first.having(sa.func.min(OUTCOMES.c.at) >= since)
    out: dict[str, tuple[Mapping[str, Any], str]] = {}
    wanted = sorted(set(dealers))
    with store.read() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            some = OUTCOMES.c.dealer.in_(wanted[start : start + _AT_ONCE])
            query = sa.select(OUTCOMES).where(
                some, OUTCOMES.c.inspection_id.in_(first.where(some).scalar_subquery())
            )
            newest = {
                row.inspection_id: row
                for row in connection.execute(query.order_by(OUTCOMES.c.outcome_id))
            }
            for row in newest.values():
                before = out.get(row.dealer)
                if before is None or last_day(row.document) >= last_day(before[0]):
                    out[row.dealer] = (row.document, row.inspection_id)
    return out


def told_visits(store: Store, dealers: Collection[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Return every visit ever told of each dealer, as told last."""
    newest: dict[str, sa.Row[Any]] = {}
    wanted = sorted(set(dealers))
    with store.read() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            some = OUTCOMES.c.dealer.in_(wanted[start : start + _AT_ONCE])
            query = sa.select(OUTCOMES).where(some).order_by(OUTCOMES.c.outcome_id)
            newest |= {row.inspection_id: row for row in connection.execute(query)}
    out: dict[str, list[Mapping[str, Any]]] = {}
    for row in newest.values():
        out.setdefault(row.dealer, []).append(row.document)
    return out


def last_day(told: Mapping[str, Any]) -> str:
    """Return the last day of a visit as told."""
    return str(told["closed_on"] or told["opened_on"])
