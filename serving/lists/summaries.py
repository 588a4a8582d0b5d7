"""What the pages read from the store: issued lists and the decisions about them."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

import sqlalchemy as sa
from pydantic_core import from_json

from serving.access.accounts import Principal
from serving.access.roles import LEADS, OVERSEES, RUNS_SCHEDULE
from serving.contract.records.lists import (
    ListDocument,
    ListedPlace,
    ListGist,
    ListSummaryRecord,
    PrincipalRecord,
    RecipeRecord,
    SeenListRecord,
    StoredDecisionRecord,
)
from serving.lists.issued import may_read
from serving.lists.owners import SCHEDULE, office_of, own_names
from serving.lists.since import first_told
from serving.runtime import Runtime
from serving.scores.visible_dealers import Scope
from serving.store.database import Store
from serving.store.result_pages import cursor_of, page, place_of
from serving.store.rows import picked
from serving.store.tables import DECISIONS, LISTS

_MOST_LISTS: Final = 100
_MOST_KEPT: Final = 1_000
_MOST_SEARCHED: Final = 100
_READ_AT_ONCE: Final = 10  # a document of 5,000 rows is 12 MB


def decisions_of(store: Store, list_id: str) -> dict[str, StoredDecisionRecord]:
    """Return the newest decision about each dealer of a list."""
    query = sa.select(DECISIONS).where(DECISIONS.c.list_id == list_id)
    with store.read() as connection:
        rows = connection.execute(query.order_by(DECISIONS.c.decision_id))
        return {row.dealer: picked(StoredDecisionRecord, row._mapping) for row in rows}


@dataclass(frozen=True)
class _Gist:
    """What of an issued list a summary needs; a list never changes once it is issued."""

    facts: ListGist
    rows: tuple[ListedPlace, ...]
    principal: PrincipalRecord


_gists: OrderedDict[str, _Gist] = OrderedDict()
_lock = threading.Lock()


def _gist(document: ListDocument, recipe: RecipeRecord) -> _Gist:
    return _Gist(
        {
            "list_id": document["list_id"],
            "issued_at": document["issued_at"],
            "owner": document["owner"],
            "office": office_of(document["owner"]),
            "area": document["area_in_words"],
            "as_of": document["basis"]["as_of"],
        },
        tuple(
            ListedPlace(
                dealer=sys.intern(row["dealer"]),
                office=sys.intern(row["office"]),
                division=sys.intern(row["division"]),
            )
            for row in document["rows"]
        ),
        recipe["principal"],
    )


def _gists_of(store: Store, keys: Sequence[str]) -> list[_Gist]:
    """Return the gists of lists by their digests, from the store what is not known yet."""
    with _lock:
        known = {key: _gists[key] for key in keys if key in _gists}
    missing = [key for key in keys if key not in known]
    if missing:
        query = sa.select(LISTS.c.sha256, LISTS.c.document, LISTS.c.recipe)
        with store.read() as connection:
            rows = connection.execute(query.where(LISTS.c.sha256.in_(missing))).all()
        known |= {row.sha256: _gist(from_json(row.document), row.recipe) for row in rows}
    with _lock:
        for key in keys:
            _gists[key] = known[key]
            _gists.move_to_end(key)
        while len(_gists) > _MOST_KEPT:
            _gists.popitem(last=False)
    return [known[key] for key in keys]


def summaries(runtime: Runtime, principal: Principal) -> list[ListSummaryRecord]:
    """Return what a caller may know of the newest issued lists, the newest first."""
    return summary_page(runtime, principal, limit=_MOST_LISTS)[0]


def summary_page(
    runtime: Runtime, principal: Principal, *, limit: int, cursor: str | None = None
) -> tuple[list[ListSummaryRecord], str | None]:
    """Return a page of what identifies the lists a caller may read, and the next page's cursor."""
    query = sa.select(LISTS.c.sha256)
    query = query.order_by(LISTS.c.issued_at.desc(), LISTS.c.list_id.desc())
    if principal.role not in OVERSEES | LEADS:
        is_own: sa.ColumnElement[bool] = LISTS.c.owner.in_(own_names(principal))
        if principal.role in RUNS_SCHEDULE:
            is_own = sa.or_(is_own, LISTS.c.owner.startswith(SCHEDULE))
        query = query.where(is_own)
    if cursor is not None:
        query = query.where(sa.tuple_(LISTS.c.issued_at, LISTS.c.list_id) < place_of(cursor))
    scope = runtime.scope(principal)

    listed: dict[str, set[str]] = {}

    def shown(gist: _Gist) -> SeenListRecord | None:
        listed[gist.facts["list_id"]] = {row["dealer"] for row in gist.rows} - scope.hidden
        return _shown(gist, principal, scope)

    with runtime.store.read() as connection:
        keys = list(connection.scalars(query))
    found, has_more = page(_each_gist(runtime.store, keys), shown, limit)
    done = _done(runtime.store, found, listed)
    out: list[ListSummaryRecord] = [
        {**one, "n_decided": len(done[one["list_id"]])} for one in found
    ]
    last = found[-1] if has_more else None
    return out, None if last is None else cursor_of(last["issued_at"], last["list_id"])


class OthersList(TypedDict):
    """What somebody may know of a list of their office that they may not read."""

    issued_at: str
    owner: str


def lists_of_others(runtime: Runtime, principal: Principal) -> list[OthersList]:
    """Return who else issued lists of a caller's own offices alone, the newest first.

    Such a list is read by whoever issued it and whoever leads the area; this says that it exists.
    What the caller may not see of it decides nothing.
    """
    query = sa.select(LISTS.c.sha256).where(LISTS.c.owner.not_in(own_names(principal)))
    newest = query.order_by(LISTS.c.issued_at.desc(), LISTS.c.list_id.desc()).limit(_MOST_LISTS)
    with runtime.store.read() as connection:
        keys = list(connection.scalars(newest))
    scope = runtime.scope(principal)
    offices = frozenset(principal.offices)
    out: list[OthersList] = []
    for gist in _each_gist(runtime.store, keys):
        seen = {row["office"] for row in gist.rows if row["dealer"] not in scope.hidden}
        if seen and seen <= offices and not office_of(gist.facts["owner"]):
            out.append({"issued_at": gist.facts["issued_at"], "owner": gist.facts["owner"]})
    return out


def lists_with(store: Store, dealer: str, *, owners: Sequence[str]) -> list[str]:
    """Return the ids of some owners' newest lists that a dealer is on."""
    newest = (
        sa.select(LISTS.c.sha256)
        .where(LISTS.c.owner.in_(owners))
        .order_by(LISTS.c.issued_at.desc())
        .limit(_MOST_SEARCHED)
    )
    with store.read() as connection:
        keys = list(connection.scalars(newest))
    return [
        str(gist.facts["list_id"])
        for gist in _each_gist(store, keys)
        if any(row["dealer"] == dealer for row in gist.rows)
    ]


def readable_among(runtime: Runtime, principal: Principal, list_ids: Sequence[str]) -> set[str]:
    """Return which of some lists a caller may read: those that `summary_page` names."""
    query = sa.select(LISTS.c.sha256).where(LISTS.c.list_id.in_(list_ids))
    with runtime.store.read() as connection:
        keys = list(connection.scalars(query)) if list_ids else []
    scope = runtime.scope(principal)
    return {
        str(gist.facts["list_id"])
        for gist in _each_gist(runtime.store, keys)
        if _shown(gist, principal, scope) is not None
    }


def _shown(gist: _Gist, principal: Principal, scope: Scope) -> SeenListRecord | None:
    """Return what a caller is told of a list, None when it may not read it."""
    rows = [row for row in gist.rows if row["dealer"] not in scope.hidden]
    if not may_read(principal, scope, gist.facts["owner"], rows, gist.principal):
        return None
    return {**gist.facts, "n_rows": len(rows)}


def _each_gist(store: Store, keys: Sequence[str]) -> Iterator[_Gist]:
    for start in range(0, len(keys), _READ_AT_ONCE):
        yield from _gists_of(store, keys[start : start + _READ_AT_ONCE])


def _done(
    store: Store, found: Sequence[SeenListRecord], listed: Mapping[str, set[str]]
) -> dict[str, set[str]]:
    """Return of each list the visible dealers decided about, or visited and told of since."""
    query = sa.select(DECISIONS.c.list_id, DECISIONS.c.dealer).distinct()
    query = query.where(DECISIONS.c.list_id.in_([one["list_id"] for one in found]))
    done: dict[str, set[str]] = {one["list_id"]: set() for one in found}
    with store.read() as connection:
        for row in connection.execute(query):
            done[row.list_id].add(row.dealer)
    told = first_told(store, min(one["issued_at"] for one in found)) if found else []
    for one in found:
        done[one["list_id"]] |= {dealer for dealer, at in told if at >= one["issued_at"]}
        done[one["list_id"]] &= listed[one["list_id"]]
    return done
