"""Whom a visit was to: a dealer of the scored table, or one that has left the listing since.

A license may be given up before the visit is told, or by it. What was found is told all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.domain import license_number
from serving.access.accounts import Principal
from serving.field.dealer_places import DealerPlaces
from serving.field.newest_listing import newest_listings
from serving.scores.visible_dealers import Scope

# What the scored table calls it, and what a listing does.
_NAMES: Final[Mapping[str, str]] = {
    "licensee_name": "licensee_name",
    "business_name": "business_name",
    "license_number": "license_number",
    "city": "premises_city",
    "state": "premises_state",
}


@dataclass(frozen=True)
class Inspected:
    """A dealer of the caller's area that was visited.

    Parameters
    ----------
    dealer : str
        The key.
    row : int or None
        In the scored table in force; None when the dealer is not in it.
    office : str
        Empty when it is not known.
    names : mapping of str to str
        Names, license number, city and state, by the newest listing that has the dealer.
    is_gone : bool
        Whether the dealer is scored no more, and so has no page of its own.
    """

    dealer: str
    row: int | None
    office: str
    names: Mapping[str, str]
    is_gone: bool


def inspected(
    scope: Scope, principal: Principal, warehouse: Path, asked: str, *, with_names: bool = False
) -> Inspected | None:
    """Return the dealer that is meant; None when there is none within the caller's area.

    Parameters
    ----------
    asked : str
        A dealer key or a license number.
    with_names : bool
        Whether the names of one that left the listing are wanted, too.
    """
    snapshot = scope.view.snapshot
    row = snapshot.row(asked)
    if row is not None:
        dealer = str(snapshot.columns["dealer"][row])
        if scope.row(dealer) is None and not (
            scope.view.is_gone(dealer)
            and DealerPlaces(scope, principal, warehouse).is_theirs(dealer)
        ):
            return None
        names = {name: str(snapshot.columns[name][row]) for name in _NAMES}
        office = str(snapshot.columns["office"][row] or "")
        return Inspected(dealer, row, office, names, scope.view.is_gone(dealer))
    dealer = license_number.dealer_key(asked) or asked
    found = {} if dealer in scope.hidden else _listed(warehouse, dealer)
    places = DealerPlaces(scope, principal, warehouse)
    if not found or not places.is_theirs(dealer):
        return None
    return Inspected(dealer, None, places.of(dealer).office, found if with_names else {}, True)


def _listed(warehouse: Path, dealer: str) -> Mapping[str, str]:
    """Return what the newest listing with a dealer calls it; nothing when none ever had it."""
    listed = newest_listings(warehouse, [dealer], tuple(_NAMES.values())).get(dealer)
    return {} if listed is None else {name: listed[column] for name, column in _NAMES.items()}
