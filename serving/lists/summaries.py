"""What the pages read from the store: issued lists and the decisions about them."""

from __future__ import annotations

import json
from typing import Any, Final

import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.lists.issued import may_read, seen_document
from serving.runtime import Runtime
from serving.store.database import Store
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
    query = sa.select(LISTS.c.owner, LISTS.c.issued_at, LISTS.c.document, LISTS.c.recipe)
    if principal.role not in {"auditor", "supervisor"}:
        query = query.where(LISTS.c.owner == principal.name)
    query = query.order_by(LISTS.c.issued_at.desc()).limit(_MOST_LISTS)
    scope = runtime.scope(principal)
    # A held dealer is not counted either, nor a decision about it.
    decided = (
        sa.select(DECISIONS.c.list_id, sa.func.count(sa.distinct(DECISIONS.c.dealer)))
        .where(DECISIONS.c.dealer.not_in(sorted(scope.hidden)))
        .group_by(DECISIONS.c.list_id)
    )
    with runtime.store.read() as connection:
        found = [
            (json.loads(row.document), row.recipe) for row in connection.execute(query).fetchall()
        ]
        n_decided = {row[0]: row[1] for row in connection.execute(decided)}
    return [
        {
            "list_id": document["list_id"],
            "issued_at": document["issued_at"],
            "owner": document["owner"],
            "area": document["area_in_words"],
            "as_of": document["basis"]["as_of"],
            "n_rows": len(document["rows"]),
            "n_decided": n_decided.get(document["list_id"], 0),
        }
        for document, recipe in (
            (seen_document(runtime, scope, given, recipe) or given, recipe)
            for given, recipe in found
        )
        if may_read(principal, scope, document, recipe)
    ]
