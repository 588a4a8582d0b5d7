"""Whom a list passed over by the twelve-month rule, and who of them may be visited by now.

A list goes by the day of its table and never changes; days go on. So this is said beside the
document, as it is on the day that somebody reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import sqlalchemy as sa

from features.arrays import Flags
from serving import clock
from serving.access.accounts import Principal
from serving.contract.answers import RankRequest
from serving.contract.records.dealers import PremisesRecord
from serving.contract.records.lists import ListDocument, RecipeRecord
from serving.lists.files.list_files import n_passed_over
from serving.scores.areas import asked_rows, own_rows
from serving.scores.snapshot import Snapshot
from serving.scores.table.loaded_table import premises_of
from serving.scores.visible_dealers import Scope, allows_visit
from serving.store.database import Store
from serving.store.tables import LISTS

MOST_NAMED: Final = 50


@dataclass(frozen=True)
class PassedOver:
    """The dealers that a list left out as the law did not allow a visit on its day.

    Parameters
    ----------
    n : int
    n_now : int, optional
        How many of them the law allows to visit today; None where that cannot be told, as the
        list was made from another table than the one in force or reaches beyond the reader's area.
    named : tuple of PremisesRecord
        The first of these, in the order of priority.
    """

    n: int
    n_now: int | None = None
    named: tuple[PremisesRecord, ...] = ()


def passed_over(store: Store, scope: Scope, document: ListDocument) -> PassedOver:
    """Return whom a list passed over, as far as its reader sees them.

    Parameters
    ----------
    store : Store
    scope : Scope
        Of the reader.
    document : ListDocument
        As the reader sees it.
    """
    rows = document["rows"]
    only_counted = PassedOver(n_passed_over(document))
    snapshot, basis = scope.view.snapshot, document["basis"]
    here = (snapshot.table.name, snapshot.basis["fingerprint"])
    if not only_counted.n or (basis["scored"], basis["fingerprint"]) != here:
        return only_counted
    query = sa.select(LISTS.c.recipe).where(LISTS.c.list_id == document["list_id"])
    with store.read() as connection:
        recipe: RecipeRecord = connection.scalars(query).one()
    within = _within(scope, recipe)
    if (within & ~scope.own).any():
        return only_counted
    barred = within & _barred_at_issue(snapshot, recipe)
    listed = [snapshot.row_of[row["dealer"]] for row in rows if row["dealer"] in snapshot.row_of]
    barred[listed] = False
    day = max(snapshot.as_of, clock.today())
    now = np.flatnonzero(barred & allows_visit(snapshot.columns["eligible_on"], day))
    first = now[np.argsort(scope.view.national_rank[now], kind="stable")][:MOST_NAMED]
    named = tuple(premises_of(snapshot.columns, first))
    return PassedOver(int(barred.sum()), len(now), named)


def _within(scope: Scope, recipe: RecipeRecord) -> Flags:
    """Return the rows of the area that a list was asked for, without what is hidden."""
    snapshot, whose = scope.view.snapshot, recipe["principal"]
    owner = Principal(whose["name"], whose["role"], frozenset(whose["areas"]))
    request = RankRequest.model_validate(recipe["request"])
    within = asked_rows(snapshot, request.area) & own_rows(snapshot, owner) & scope.view.is_visible
    if request.license_types:
        within &= snapshot.where("license_type", request.license_types)
    within[
        [snapshot.row_of[dealer] for dealer in recipe["hidden"] if dealer in snapshot.row_of]
    ] = False
    return within


def _barred_at_issue(snapshot: Snapshot, recipe: RecipeRecord) -> Flags:
    """Return the rows that could not be visited on the table's day, as known at the issue."""
    known = snapshot.table.scored["eligible_on"].to_numpy().astype("datetime64[s]")
    for dealer, fields in recipe["overlay"].items():
        if fields.get("eligible_on") and dealer in snapshot.row_of:
            known[snapshot.row_of[dealer]] = np.datetime64(fields["eligible_on"], "s")
    barred: Flags = ~allows_visit(known, snapshot.as_of)
    return barred
