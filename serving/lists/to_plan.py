"""Dealers of a list that a plan is asked to hold, and why one of them is not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.access.accounts import Principal
from serving.access.roles import ACCESS
from serving.contract.plan import Require
from serving.contract.records.lists import ListDocument
from serving.errors import ForbiddenRoleError
from serving.lists.issued import document_for
from serving.lists.since import decided_elsewhere, told_since
from serving.lists.summaries import decisions_of
from serving.planning import Plan
from serving.planning.kept.overrides import closed_dealers
from serving.runtime import Runtime
from serving.scores.visible_dealers import View


@dataclass(frozen=True)
class ListedDealer:
    """A dealer of a list as a plan takes it.

    Parameters
    ----------
    dealer, office : str
    is_mandatory, is_drawn : bool
        Whether it is to be visited if any are, and whether the list drew it at random.
    settled : str
        Why nobody has to go there any more; empty when nothing was told or decided.
    """

    dealer: str
    office: str
    is_mandatory: bool
    is_drawn: bool
    settled: str


def list_for_plan(runtime: Runtime, principal: Principal, list_id: str) -> ListDocument:
    """Return a list that a plan is made from.

    Raises
    ------
    UnknownListError
        When there is none, or it is not the caller's to read.
    """
    if principal.role not in ACCESS["lists"]:
        raise ForbiddenRoleError("Lists are not yours to read.")
    return document_for(runtime, principal, list_id)


def listed_dealers(runtime: Runtime, view: View, document: ListDocument) -> list[ListedDealer]:
    """Return the dealers of a list that the caller sees, in its order."""
    store = runtime.store
    closed = closed_dealers(store)
    settled: dict[str, str] = {}
    for dealer, one in decided_elsewhere(store, view, document).items():
        if one.decision == "override":
            settled[dealer] = "overridden on another list"
    for dealer, kept in decisions_of(store, document["list_id"]).items():
        settled.pop(dealer, None)
        if kept["decision"] == "override":
            settled[dealer] = "overridden on the list"
    for dealer, visit in told_since(store, view, document).items():
        settled[dealer] = f"visited {visit.visited_on}"
    return [
        ListedDealer(
            row["dealer"],
            row["office"],
            bool(row.get("is_mandatory")),
            "random" in row["why"],
            "out of business" if row["dealer"] in closed else settled.get(row["dealer"], ""),
        )
        for row in document["rows"]
        if view.row(row["dealer"]) is not None
    ]


def wanted(dealers: Sequence[ListedDealer], require: Require | None) -> list[ListedDealer]:
    """Return the dealers that are asked for: none, the mandatory ones, or all."""
    if require is None:
        return []
    return [one for one in dealers if require == "all" or one.is_mandatory]


def required(dealers: Sequence[ListedDealer], require: Require | None, office: str) -> list[str]:
    """Return the dealers that a plan of an office must hold, by key."""
    asked = wanted(dealers, require)
    return sorted(one.dealer for one in asked if one.office == office and not one.settled)


def why_not_planned(
    dealers: Sequence[ListedDealer], plan: Plan, office: str, planned: set[str]
) -> Mapping[str, str]:
    """Say of each dealer that is not in a plan why; empty where only its choice tells."""
    return {
        one.dealer: one.settled
        or ("" if one.office == office else "of another office")
        or plan.listed_missing.get(one.dealer, "")
        for one in dealers
        if one.dealer not in planned
    }
