"""Issued lists: written once with their audit record, read for ever, rebuilt and compared."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final, cast
from weakref import WeakKeyDictionary

import pandas as pd
import sqlalchemy as sa
from pydantic_core import from_json, to_json

from features.domain.agency_day import day_of
from serving import clock
from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Access, append, subjects
from serving.access.roles import LEADS, OVERSEES, RUNS_SCHEDULE
from serving.contract.answers import RankRequest
from serving.contract.records.lists import (
    ListDocument,
    ListedPlace,
    ListIdRecord,
    PrincipalRecord,
    RecipeRecord,
)
from serving.errors import ConflictError, UnknownListError
from serving.lists.compose import Before, Issue, compose
from serving.lists.owners import is_own, office_of
from serving.lists.visible_list import FACTS, for_auditor, without
from serving.runtime import Runtime
from serving.scores.areas import as_spelled, own_rows
from serving.scores.snapshot import Snapshot, today
from serving.scores.table.loaded_table import rows_of
from serving.scores.visible_dealers import Scope
from serving.store import journal
from serving.store.database import Store, instant
from serving.store.rows import picked
from serving.store.tables import LISTS
from serving.versions import code_version

_MOST_SEARCHED: Final = 100
_MOST_COMPARED: Final = 64
_compared: WeakKeyDictionary[Store, dict[str, Before]] = WeakKeyDictionary()
_NO_LIST: Final = "There is no such list, or it is not yours."


class IssuedAlreadyError(ConflictError):
    """The list that an owner gets once is there, issued by somebody else at the same time."""


def area_key(request: RankRequest) -> str:
    """Return what identifies the area of a request, to find the last list of the same."""
    text = json.dumps(
        [request.area.model_dump(mode="json"), sorted(request.license_types)], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def issue(
    runtime: Runtime,
    principal: Principal,
    request: RankRequest,
    *,
    by: Principal | None = None,
    once_since: str = "",
) -> ListDocument:
    """Compose a list, keep it with its audit record in one transaction, and return it.

    Parameters
    ----------
    principal : Principal
        Whose list it is.
    by : Principal, optional
        Who issues it, where that is somebody else.
    once_since : str
        An instant since which the owner gets one list only.

    Raises
    ------
    IssuedAlreadyError
        When the owner got a list since `once_since` while this one was composed.
    StaleTableError
        When the records are too old to send anybody anywhere by.
    """
    runtime.follow()
    scope = runtime.scope(principal)
    scope.view.snapshot.check_age(today())
    area = as_spelled(scope.view.snapshot, request.area)
    request = request.model_copy(update={"area": area})
    previous = last_list(runtime.store, principal.name, area_key(request), hidden=scope.hidden)
    now = clock.now()
    ticket = Issue(
        list_id=f"L-{clock.today():%Y%m%d}-{secrets.token_hex(6)}",
        issued_at=instant(now),
        seed=runtime.draw(scope.view.snapshot.as_of).seed,
        draw_months=runtime.settings.draw_months,
    )
    document = compose(scope.view, principal, request, issue=ticket, previous=previous)
    content = to_json(document)
    row = {
        "list_id": ticket.list_id,
        "issued_at": ticket.issued_at,
        "owner": principal.name,
        "area": area_key(request),
        "as_of": scope.view.snapshot.as_of,
        "bundle": document["basis"]["bundle"],
        "scored": document["basis"]["scored"],
        "recipe": _recipe(scope, principal, request, ticket, previous=previous),
        "document": content,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    access = Access(
        who=(by or principal).name, role=(by or principal).role, action="rank",
        subject=subjects(r["dealer"] for r in document["rows"]),
        purpose=document["purpose"], list_id=ticket.list_id,
        bundle=document["basis"]["bundle"], scored=document["basis"]["scored"],
    )  # fmt: skip
    with runtime.store.write() as connection:
        journal.lock(connection)
        if once_since:
            theirs = sa.select(LISTS.c.list_id).where(LISTS.c.owner == principal.name)
            if there := connection.scalar(theirs.where(LISTS.c.issued_at >= once_since)):
                raise IssuedAlreadyError("The list was issued meanwhile.", found=there)
        connection.execute(LISTS.insert(), row)
        journal.note(connection, "list", ticket.list_id, (r["dealer"] for r in document["rows"]))
        recorded = replace(access, kept=kept_now(connection, "list", ticket.list_id))
        append(connection, runtime.audit_key, [recorded, *_overrides(access, document)])
    _remember(runtime.store, Before.of(document))
    return document


def _overrides(access: Access, document: ListDocument) -> list[Access]:
    """Give every dealer listed before the law allows a visit an audit record of its own."""
    day = day_of(str(document["issued_at"]))
    return [
        Access(
            **{
                **access.__dict__,
                "action": "override_legal_gate",
                "subject": f"{row['dealer']} {row['note']}",
            }
        )
        for row in document["rows"]
        if not row["is_eligible"] and str(row["eligible_on"]) > day
    ]


def _recipe(
    scope: Scope,
    principal: Principal,
    request: RankRequest,
    ticket: Issue,
    *,
    previous: Before | None,
) -> RecipeRecord:
    """Return what rebuilds the list. It names held dealers and is shown to nobody."""
    snapshot = scope.view.snapshot
    hidden = snapshot.columns["dealer"][~scope.view.is_visible]
    return {
        "request": request.model_dump(mode="json"),
        "principal": {
            "name": principal.name,
            "role": principal.role,
            "areas": sorted(principal.areas),
        },
        "issue": {
            "list_id": ticket.list_id,
            "issued_at": ticket.issued_at,
            "seed": ticket.seed,
            "draw_months": ticket.draw_months,
        },
        "hidden": sorted(hidden.tolist()),
        "n_visible": scope.view.n,
        "previous": previous.list_id if previous else None,
        "overlay": snapshot.overlay,
        "ages": asdict(snapshot.ages),
        "champion": snapshot.table.manifest["champion"],
        "warehouse_fingerprint": snapshot.table.manifest["warehouse_fingerprint"],
        "version": code_version(),
    }


def _remember(store: Store, before: Before) -> Before:
    """Keep what a later list is compared with: what was issued never changes."""
    kept = _compared.setdefault(store, {})
    if len(kept) >= _MOST_COMPARED:
        kept.clear()
    kept[before.list_id] = before
    return before


def last_list(
    store: Store, owner: str, area: str, *, hidden: frozenset[str] = frozenset()
) -> Before | None:
    """Return the newest list of an owner and area, as far as a new one is compared with it.

    One that names a dealer hidden from the owner by now is passed over: a comparison with it would
    count the dealer among those that left, or show by its numbers that it does not.
    """
    newest = (
        sa.select(LISTS.c.list_id)
        .where(LISTS.c.owner == owner, LISTS.c.area == area)
        .order_by(LISTS.c.issued_at.desc(), LISTS.c.list_id.desc())
        .limit(_MOST_SEARCHED)
    )
    with store.read() as connection:
        # One document after another: to put them into their order, a store would read them all.
        for list_id in connection.scalars(newest).all():
            if (before := _compared.get(store, {}).get(list_id)) is None:
                one = sa.select(LISTS.c.document).where(LISTS.c.list_id == list_id)
                before = _remember(store, Before.of(from_json(connection.scalar(one) or b"")))
            if hidden.isdisjoint(before.places):
                return before
    return None


def _before(store: Store, list_id: str) -> Before:
    """Return what lists are compared with by its id, read once."""
    found = _compared.get(store, {}).get(list_id)
    return found or _remember(store, Before.of(from_json(stored_bytes(store, list_id))))


def stored_bytes(store: Store, list_id: str) -> bytes:
    """Return a list's bytes as issued, whoever asks: for comparing, never for showing.

    Raises
    ------
    UnknownListError
        When there is none, or its bytes are not those that were issued.
    """
    query = sa.select(LISTS.c.document, LISTS.c.sha256).where(LISTS.c.list_id == list_id)
    with store.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise UnknownListError(_NO_LIST)
    return _checked(bytes(row.document), row.sha256)


def _checked(content: bytes, sha256: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UnknownListError(
            "The list's bytes are not those that were issued.",
            fix="tell the operator: ffl-risk audit verify, and restore the store from a backup",
        )
    return content


def may_read(
    principal: Principal,
    scope: Scope,
    owner: str,
    rows: Sequence[ListedPlace],
    made: PrincipalRecord,
) -> bool:
    """Whether a caller may read a list: its owner, an auditor, a supervisor of all its places.

    The list that the schedule issued for an office is everybody's whose own office it is, and a
    scheduler's whose area holds all its places.

    A list without a place is its owner's supervisor's. `rows` are as the caller sees them: what is
    hidden makes no difference here either. `made` says for whom it was made.
    """
    if principal.role in OVERSEES or is_own(principal, owner):
        return True
    is_scheduled = office_of(owner) != ""
    if principal.role not in LEADS and not (principal.role in RUNS_SCHEDULE and is_scheduled):
        return False
    if principal.is_national:
        return True
    if not rows:
        whose = Principal(made["name"], made["role"], frozenset(made["areas"]))
        theirs = own_rows(scope.view.snapshot, whose) & scope.view.is_visible
        return bool(theirs.any()) and not bool((theirs & ~scope.own).any())
    return all(
        row["division"] in principal.divisions or row["office"] in principal.offices for row in rows
    )


def readable(runtime: Runtime, principal: Principal, list_id: str) -> bytes:
    """Return a list as the caller may see it; absent and not readable are alike.

    Where nothing on it is hidden from the caller these are the bytes that were issued.
    """
    content, shown = _read(runtime, principal, list_id)
    return to_json(shown) if content is None else content


def document_for(runtime: Runtime, principal: Principal, list_id: str) -> ListDocument:
    """Return a list's document as the caller may see it: `readable`, read once."""
    return _read(runtime, principal, list_id)[1]


def _read(
    runtime: Runtime, principal: Principal, list_id: str
) -> tuple[bytes | None, ListDocument]:
    """Return a list as a caller may see it, and its bytes where they are those issued."""
    query = sa.select(LISTS).where(LISTS.c.list_id == list_id)
    with runtime.store.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise UnknownListError(_NO_LIST)
    content = _checked(bytes(row.document), row.sha256)
    scope = runtime.scope(principal)
    recipe: RecipeRecord = row.recipe
    as_issued: ListDocument = from_json(content)
    document = seen_document(runtime, scope, as_issued, recipe)
    shown = document or as_issued
    if not may_read(principal, scope, shown["owner"], shown["rows"], recipe["principal"]):
        raise UnknownListError(_NO_LIST)
    if principal.role in OVERSEES:
        return None, cast("ListDocument", for_auditor(shown))
    return (content, shown) if document is None else (None, shown)


def seen_document(
    runtime: Runtime, scope: Scope, document: ListDocument, recipe: RecipeRecord
) -> ListDocument | None:
    """Return the document without what is hidden from a caller; None when it is as issued."""
    hidden = scope.hidden - set(recipe["hidden"])
    if not hidden:
        return None
    facts = _facts(runtime, scope.view.snapshot, document, recipe, hidden=hidden)
    is_compared = True
    if document["change"] is not None:
        before = _before(runtime.store, document["change"]["previous_list"])
        is_compared = hidden.isdisjoint(before.places)
    return without(document, recipe, facts, hidden=hidden, is_compared=is_compared)


def _facts(
    runtime: Runtime,
    snapshot: Snapshot,
    document: ListDocument,
    recipe: RecipeRecord,
    *,
    hidden: frozenset[str],
) -> pd.DataFrame:
    """Return what the list was made from about a few dealers.

    Of a table that is no longer here, the one in force stands in. Every home numbers its own
    tables: the same number is the same table only if its fingerprint is.
    """
    name, fingerprint = document["basis"]["scored"], document["basis"]["fingerprint"]
    frame = None
    if (name, fingerprint) != (snapshot.table.name, snapshot.basis["fingerprint"]):
        frame = rows_of(runtime.settings.home, name, hidden, FACTS, fingerprint=fingerprint)
    if frame is None:
        scored = snapshot.table.scored
        frame = scored.loc[scored["dealer"].isin(hidden), list(FACTS)]
    frame = frame.set_index("dealer", drop=False)
    for dealer in sorted(hidden & recipe["overlay"].keys() & set(frame.index)):
        fields = recipe["overlay"][dealer]
        if "priority" in fields:
            frame.loc[dealer, "priority"] = fields["priority"]
        if fields.get("eligible_on"):
            frame.loc[dealer, "eligible_on"] = pd.Timestamp(fields["eligible_on"])
    return frame.reset_index(drop=True)


def lists_of(store: Store, owner: str | None = None) -> list[ListIdRecord]:
    """Return what identifies each list, newest first."""
    columns = (LISTS.c.list_id, LISTS.c.issued_at, LISTS.c.owner, LISTS.c.as_of, LISTS.c.bundle)
    query = sa.select(*columns).order_by(LISTS.c.issued_at.desc())
    if owner is not None:
        query = query.where(LISTS.c.owner == owner)
    with store.read() as connection:
        return [picked(ListIdRecord, row._mapping) for row in connection.execute(query)]
