"""Whose a dealer is that may have no score: by the scored table, else by its newest listing.

A referral waits for no list, so its dealer may be newer than the last one, have given its license
up, or be of a type that no bundle scores. It is somebody's all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from serving.access.accounts import Principal
from serving.access.roles import LEADS
from serving.field.newest_listing import newest_listings
from serving.scores.snapshot import Snapshot
from serving.scores.visible_dealers import Scope

_AREAS: Final = ("office", "division", "state")


@dataclass(frozen=True)
class Place:
    """Office, division and state of a dealer, each empty when not known."""

    office: str = ""
    division: str = ""
    state: str = ""

    @property
    def areas(self) -> list[str]:
        """What is known of it, as responsibilities name areas."""
        return [f"{name}:{value}" for name in _AREAS if (value := getattr(self, name))]

    def is_of(self, principal: Principal) -> bool:
        """Whether it lies in a principal's area.

        A dealer of no known office is nobody's, and would be shown to nobody: it goes to whoever
        looks at the whole country, or leads a division.
        """
        if principal.is_national:
            return True
        if not self.office and not self.division:
            return principal.role in LEADS and bool(principal.divisions)
        return principal.has_office(self.office) or principal.has_division(self.division)


class DealerPlaces:
    """Where dealers lie, for one caller: what was looked up once is known.

    Parameters
    ----------
    scope : Scope
    principal : Principal
    warehouse : Path
        Whose listings tell of dealers that the scored table does not have.
    """

    def __init__(self, scope: Scope, principal: Principal, warehouse: Path) -> None:
        self._scope, self._principal, self._warehouse = scope, principal, warehouse
        self._found: dict[str, Place] = {}

    def look(self, dealers: Iterable[str]) -> None:
        """Look many dealers up at once."""
        snapshot = self._scope.view.snapshot
        wanted = set(dealers) - self._found.keys()
        for dealer in wanted & snapshot.row_of.keys():
            row = snapshot.row_of[dealer]
            self._found[dealer] = Place(*(str(snapshot.columns[name][row]) for name in _AREAS))
        if missing := sorted(wanted - snapshot.row_of.keys()):
            listed = _listed(self._warehouse, missing, snapshot)
            self._found |= {dealer: listed.get(dealer, Place()) for dealer in missing}

    def of(self, dealer: str) -> Place:
        """Return where a dealer lies."""
        self.look([dealer])
        return self._found[dealer]

    def is_theirs(self, dealer: str) -> bool:
        """Whether a dealer is there for the caller, and lies in the caller's area."""
        return dealer not in self._scope.hidden and self.of(dealer).is_of(self._principal)


def _listed(warehouse: Path, dealers: Iterable[str], snapshot: Snapshot) -> Mapping[str, Place]:
    """Return where the newest listings put dealers: whose county is whose, as the table has it."""
    from features import reference

    listed = newest_listings(warehouse, dealers, ("county_fips", "premises_state"))
    if not listed:
        return {}
    table = reference.county_office().set_index("county_fips")
    published = dict(
        zip(table.index, zip(table["office"], table["division"], strict=True), strict=True)
    )
    columns = snapshot.columns
    # An agency's own offices are on no map but that of the table.
    has_own = len(columns["office"]) and not np.isin(columns["office"], table["office"]).any()
    found = {}
    for dealer, said in listed.items():
        office, division = published.get(said["county_fips"], ("", ""))
        if has_own:
            beside = np.flatnonzero(columns["county"] == (said["county_fips"] or ""))
            office = columns["office"][beside[0]] if len(beside) else office
        found[dealer] = Place(str(office), str(division), said["premises_state"])
    return found
