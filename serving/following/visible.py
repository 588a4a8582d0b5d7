"""The changes that one caller may see, in their order."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from serving.contract.records.field import ChangeRecord
from serving.scores.snapshot import Scope
from serving.store import journal
from serving.store.database import Store
from serving.store.tables import LISTS

KINDS: Final = ("outcome", "event", "decision", "list")


def visible(
    store: Store, scope: Scope, *, owner: str, since: int, limit: int
) -> tuple[list[ChangeRecord], int]:
    """Return what a caller may see of the changes after a number, and how far was looked."""
    found = journal.since(store, since, at_most=limit)
    listed = [one.ref for one in found if one.kind == "list"]
    query = sa.select(LISTS.c.list_id).where(LISTS.c.list_id.in_(listed), LISTS.c.owner == owner)
    with store.read() as connection:
        own = set(connection.scalars(query)) if listed else set()
    out: list[ChangeRecord] = []
    for one in found:
        # A dealer outside the area, or held from the caller, is not there; nor what is only its.
        dealers = [dealer for dealer in one.dealers if scope.row(dealer) is not None]
        is_shown = one.kind in KINDS and (one.kind != "list" or one.ref in own)
        # How many rows of a table came would count those of dealers that are not shown.
        ref = one.ref.split(":")[0] if one.kind == "event" else one.ref
        if dealers and is_shown:
            out.append(
                {"seq": one.seq, "at": one.at, "kind": one.kind, "ref": ref, "dealers": dealers}
            )
    return out, found[-1].seq if found else since
