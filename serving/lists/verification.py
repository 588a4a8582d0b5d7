"""A list rebuilt from warehouse, bundle and code, and compared with what was issued.

Fields that came with a later version say nothing about what was issued: they are left aside, and
named, where no object of their place in the issued document has them. One that is gone from a
single row is a difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json, to_json

from models.order.random_share import Draw
from serving.access.accounts import Principal
from serving.contract.answers import RankRequest
from serving.contract.records.lists import RecipeRecord
from serving.errors import NotReadyError, UnknownListError
from serving.lists.compose import Before, Issue, compose
from serving.lists.issued import stored_bytes
from serving.scores.rebuild import rebuilt
from serving.scores.snapshot import Ages, Snapshot
from serving.scores.visible_dealers import View
from serving.store.database import Store
from serving.store.tables import LISTS
from serving.versions import code_version


@dataclass(frozen=True)
class Verification:
    """What comparing a list with its rebuilding found."""

    list_id: str
    is_same: bool
    checks: Mapping[str, bool]


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
    recipe: RecipeRecord = row.recipe
    content = bytes(row.document)
    is_kept = hashlib.sha256(content).hexdigest() == row.sha256
    try:
        published = Snapshot.load(home, row.scored)
    except NotReadyError as error:
        # The list may well be right; a rebuilding can no longer show it.
        rebuilding = f"it can be rebuilt: {error.what[0].lower()}{error.what[1:]}"
        return Verification(
            list_id,
            False,
            {
                "stored bytes are those issued": is_kept,
                "the same version of the code": recipe["version"] == code_version(),
                rebuilding: False,
            },
        )
    anew = replace(rebuilt(published, warehouse=warehouse), ages=Ages(**recipe.get("ages", {})))
    previous, whose = recipe["previous"], recipe["principal"]
    ticket = Issue(**recipe["issue"])
    document = compose(
        View(anew.overlaid(recipe["overlay"]), recipe["hidden"]),
        Principal(whose["name"], whose["role"], frozenset(whose["areas"])),
        RankRequest.model_validate(recipe["request"]),
        issue=ticket,
        previous=Before.of(from_json(stored_bytes(store, previous))) if previous else None,
    )
    made_anew = to_json(document)
    added = _added_since(from_json(made_anew), from_json(content))
    if added:
        made_anew = to_json(_without(from_json(made_anew), added))
    aside = f", but for fields that came with a later version: {', '.join(added)}" if added else ""
    checks = {
        "stored bytes are those issued": is_kept,
        "the scored table rebuilt from warehouse and bundle is the one published": (
            anew.basis["fingerprint"] == published.basis["fingerprint"]
        ),
        "the same version of the code": recipe["version"] == code_version(),
        f"the list rebuilt from them is the one issued{aside}": made_anew == content,
    }
    if key is not None:
        fixed = {
            made(key, anew.as_of, months=ticket.draw_months).seed
            for made in (Draw.kept, Draw.short)  # the latter of lists of before
        }
        checks["the draw is the one that the audit's key fixes for the period"] = (
            ticket.seed in fixed
        )
    is_same = all(ok for name, ok in checks.items() if not name.startswith("the same version"))
    return Verification(list_id, is_same, checks)


def _added_since(rebuilt: Any, issued: Any) -> list[str]:
    """Return the fields of a rebuilt document that the issued one has nowhere, by their places.

    Examples
    --------
    >>> rebuilt = {"rows": [{"dealer": "1", "as_of": "2"}, {"dealer": "3", "as_of": "2"}]}
    >>> _added_since(rebuilt, {"rows": [{"dealer": "1"}, {"dealer": "3"}]})
    ['rows.as_of']
    >>> _added_since(rebuilt, {"rows": [{"dealer": "1"}, {"dealer": "3", "as_of": "2"}]})
    []
    """
    return sorted(_places(rebuilt) - _places(issued))


def _without(document: Any, places: list[str], at: str = "") -> Any:
    """Return a document without the fields of some places."""
    if isinstance(document, list):
        return [_without(one, places, at) for one in document]
    if not isinstance(document, dict):
        return document
    return {
        name: _without(value, places, f"{at}{name}.")
        for name, value in document.items()
        if f"{at}{name}" not in places
    }


def _places(document: Any, at: str = "") -> set[str]:
    if isinstance(document, list):
        return set().union(*(_places(one, at) for one in document))
    if not isinstance(document, dict):
        return set()
    found: set[str] = set()
    for name, value in document.items():
        found |= {f"{at}{name}"} | _places(value, f"{at}{name}.")
    return found
