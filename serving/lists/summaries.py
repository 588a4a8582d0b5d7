"""What the pages read from the store: issued lists and the decisions about them."""

from __future__ import annotations

import json
from typing import Any, Final

import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.lists.issued import may_read, seen_document
from serving.runtime import Runtime
from serving.store.database import Store
from serving.store.pages import AT_ONCE, cursor_of, page, place_of
from serving.store.tables import DECISIONS, LISTS

_MOST_LISTS: Final = 50


def decisions_of(store: Store, list_id: str) -> dict[str, dict[str, Any]]:
    """Return the newest decision about each dealer of a list."""
    query = sa.select(DECISIONS).where(DECISIONS.c.list_id == list_id)
    with store.read() as connection:
        rows = connection.execute(query.order_by(DECISIONS.c.decision_id))
        return {row.dealer: dict(row._mapping) for row in rows}


def summaries(runtime: Runtime, principal: Principal) -> list[dict[str, Any]]:
    """Return what a caller may know of the newest issued lists, the newest first."""
    return summary_page(runtime, principal, limit=_MOST_LISTS)[0]


def summary_page(
    runtime: Runtime, principal: Principal, *, limit: int, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of what identifies the lists a caller may read, and the next page's cursor."""
    columns = (LISTS.c.list_id, LISTS.c.issued_at, LISTS.c.document, LISTS.c.recipe)
    query = sa.select(*columns).order_by(LISTS.c.issued_at.desc(), LISTS.c.list_id.desc())
    if principal.role not in {"auditor", "supervisor"}:
        query = query.where(LISTS.c.owner == principal.name)
    if cursor is not None:
        query = query.where(sa.tuple_(LISTS.c.issued_at, LISTS.c.list_id) < place_of(cursor))
    scope = runtime.scope(principal)

    def shown(row: Any) -> dict[str, Any] | None:
        given = json.loads(row.document)
        document = seen_document(runtime, scope, given, row.recipe) or given
        return document if may_read(principal, scope, document, row.recipe) else None

    with runtime.store.read() as connection:
        rows = connection.execute(query.execution_options(yield_per=AT_ONCE))
        found, has_more = page(rows, shown, limit)
    decided = _n_decided(runtime.store, [one["list_id"] for one in found], scope.hidden)
    out = [
        {
            "list_id": document["list_id"],
            "issued_at": document["issued_at"],
            "owner": document["owner"],
            "area": document["area_in_words"],
            "as_of": document["basis"]["as_of"],
            "n_rows": len(document["rows"]),
            "n_decided": decided.get(document["list_id"], 0),
        }
        for document in found
    ]
    last = found[-1] if has_more else None
    return out, None if last is None else cursor_of(last["issued_at"], last["list_id"])


def _n_decided(store: Store, list_ids: list[str], hidden: frozenset[str]) -> dict[str, int]:
    """Return how many dealers of each list were decided about; a held one is not counted."""
    query = (
        sa.select(DECISIONS.c.list_id, sa.func.count(sa.distinct(DECISIONS.c.dealer)))
        .where(DECISIONS.c.list_id.in_(list_ids), DECISIONS.c.dealer.not_in(sorted(hidden)))
        .group_by(DECISIONS.c.list_id)
    )
    with store.read() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query)}
