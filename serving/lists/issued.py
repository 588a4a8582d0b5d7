"""Issued lists: written once with their audit record, read for ever, rebuilt and compared."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from pydantic_core import to_json

from models.sampling import Draw
from serving.access.accounts import Principal
from serving.access.audit import Access, append, subjects
from serving.contract.answers import RankRequest
from serving.errors import UnknownListError
from serving.lists.compose import Issue, compose
from serving.runtime import Runtime
from serving.scores.rebuild import rebuilt
from serving.scores.snapshot import Scope, Snapshot, View
from serving.store.database import Store, instant
from serving.store.tables import LISTS
from serving.versions import code_version

_MOST_SEARCHED: Final = 100


@dataclass(frozen=True)
class Verification:
    """What comparing a list with its rebuilding found."""

    list_id: str
    is_same: bool
    checks: Mapping[str, bool]


def area_key(request: RankRequest) -> str:
    """Return what identifies the area of a request, to find the last list of the same."""
    text = json.dumps(
        [request.area.model_dump(mode="json"), sorted(request.license_types)], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def issue(runtime: Runtime, principal: Principal, request: RankRequest) -> dict[str, Any]:
    """Compose a list, keep it with its audit record in one transaction, and return it."""
    scope = runtime.scope(principal)
    previous = last_list(runtime.store, principal.name, area_key(request))
    now = datetime.now(UTC)
    ticket = Issue(
        list_id=f"L-{now:%Y%m%d}-{secrets.token_hex(6)}",
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
        who=principal.name,
        role=principal.role,
        action="rank",
        subject=subjects((r["dealer"] for r in document["rows"]), at_most=request.k),
        purpose=document["purpose"],
        bundle=row["bundle"],
        scored=row["scored"],
        list_id=ticket.list_id,
    )
    with runtime.store.write() as connection:
        connection.execute(LISTS.insert(), row)
        append(connection, runtime.audit_key, [access, *_overrides(access, document)])
    return document


def _overrides(access: Access, document: Mapping[str, Any]) -> list[Access]:
    """Give every dealer listed before it is eligible an audit record of its own."""
    return [
        Access(
            **{
                **access.__dict__,
                "action": "override_legal_gate",
                "subject": f"{row['dealer']} {row['note']}",
            }
        )
        for row in document["rows"]
        if not row["is_eligible"]
    ]


def _recipe(
    scope: Scope,
    principal: Principal,
    request: RankRequest,
    ticket: Issue,
    *,
    previous: Mapping[str, Any] | None,
) -> dict[str, Any]:
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
        "issue": ticket.__dict__,
        "hidden": sorted(hidden.tolist()),
        "previous": previous["list_id"] if previous else None,
        "overlay": snapshot.overlay,
        "champion": snapshot.table.manifest["champion"],
        "warehouse_fingerprint": snapshot.table.manifest["warehouse_fingerprint"],
        "version": code_version(),
    }


def last_list(store: Store, owner: str, area: str) -> dict[str, Any] | None:
    """Return the document of the newest list of an owner and area."""
    query = (
        sa.select(LISTS.c.document)
        .where(LISTS.c.owner == owner, LISTS.c.area == area)
        .order_by(LISTS.c.issued_at.desc(), LISTS.c.list_id.desc())
        .limit(1)
    )
    with store.read() as connection:
        content = connection.scalar(query)
    return json.loads(content) if content is not None else None


def stored_bytes(store: Store, list_id: str) -> bytes:
    """Return a list's bytes as issued.

    Raises
    ------
    UnknownListError
        When there is none, or its bytes are not those that were issued.
    """
    query = sa.select(LISTS.c.document, LISTS.c.sha256).where(LISTS.c.list_id == list_id)
    with store.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise UnknownListError("There is no such list, or it is not yours.")
    content = bytes(row.document)
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise UnknownListError(
            "The list's bytes are not those that were issued.",
            fix="tell the operator: ffl-risk audit verify, and restore the store from a backup",
        )
    return content


def may_read(principal: Principal, scope: Scope, document: Mapping[str, Any]) -> bool:
    """Whether a caller may read a list: its owner, an auditor, a supervisor of all its places."""
    if principal.role == "auditor" or document["owner"] == principal.name:
        return True
    if principal.role != "supervisor":
        return False
    if principal.is_national:
        return True
    return all(
        row["division"] in principal.divisions or row["office"] in principal.offices
        for row in document["rows"]
    )


def readable(runtime: Runtime, principal: Principal, list_id: str) -> bytes:
    """Return a list's bytes if the caller may read it; absent and not readable are alike."""
    content = stored_bytes(runtime.store, list_id)
    if not may_read(principal, runtime.scope(principal), json.loads(content)):
        raise UnknownListError("There is no such list, or it is not yours.")
    return content


def lists_of(store: Store, owner: str | None = None) -> list[dict[str, Any]]:
    """Return what identifies each list, newest first."""
    columns = (LISTS.c.list_id, LISTS.c.issued_at, LISTS.c.owner, LISTS.c.as_of, LISTS.c.bundle)
    query = sa.select(*columns).order_by(LISTS.c.issued_at.desc())
    if owner is not None:
        query = query.where(LISTS.c.owner == owner)
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def lists_with(store: Store, dealer: str, *, owner: str) -> list[str]:
    """Return the ids of an owner's newest lists that a dealer is on."""
    query = (
        sa.select(LISTS.c.list_id, LISTS.c.document)
        .where(LISTS.c.owner == owner)
        .order_by(LISTS.c.issued_at.desc())
        .limit(_MOST_SEARCHED)
    )
    # The key stands in quotes in the document, so one key cannot be found within another.
    wanted = to_json(dealer)
    with store.read() as connection:
        rows = connection.execute(query)
        return [row.list_id for row in rows if wanted in bytes(row.document)]


def verify(
    store: Store, list_id: str, *, home: Path, warehouse: Path, key: bytes | None = None
) -> Verification:
    """Rebuild a list from the warehouse, the bundle and the code, and compare the bytes.

    Parameters
    ----------
    key : bytes, optional
        The audit's key: with it, that the draw is the one fixed for its period is checked too.

    Raises
    ------
    UnknownListError
        When there is no such list.
    """
    query = sa.select(LISTS).where(LISTS.c.list_id == list_id)
    with store.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise UnknownListError(f"There is no list {list_id!r}.")
    recipe, content = row.recipe, bytes(row.document)
    published = Snapshot.load(home, row.scored)
    anew = rebuilt(published, warehouse=warehouse)
    previous = recipe["previous"]
    ticket = Issue(**recipe["issue"])
    document = compose(
        View(anew.overlaid(recipe["overlay"]), recipe["hidden"]),
        Principal(
            recipe["principal"]["name"],
            recipe["principal"]["role"],
            frozenset(recipe["principal"]["areas"]),
        ),
        RankRequest.model_validate(recipe["request"]),
        issue=ticket,
        previous=json.loads(stored_bytes(store, previous)) if previous else None,
    )
    checks = {
        "stored bytes are those issued": hashlib.sha256(content).hexdigest() == row.sha256,
        "the scored table rebuilt from warehouse and bundle is the one published": (
            anew.basis["fingerprint"] == published.basis["fingerprint"]
        ),
        "the same version of the code": recipe["version"] == code_version(),
        "the list rebuilt from them is the one issued": to_json(document) == content,
    }
    if key is not None:
        fixed = Draw.kept(key, anew.as_of, months=ticket.draw_months)
        checks["the draw is the one that the audit's key fixes for the period"] = (
            ticket.seed == fixed.seed
        )
    is_same = all(ok for name, ok in checks.items() if not name.startswith("the same version"))
    return Verification(list_id, is_same, checks)
