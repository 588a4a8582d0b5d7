"""What was told of a list's dealers since it was issued: beside the document, never in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from features.reference.twelve_month_rule import CONSUMING_KINDS
from serving.scores.snapshot import View
from serving.store.database import Store
from serving.store.tables import OUTCOMES
from serving.store.told_visits import last_day, visited_since


@dataclass(frozen=True)
class ToldVisit:
    """A visit that was told after the list was issued.

    Parameters
    ----------
    inspection_id, visited_on, kind, outcome : str
        As told last; the day is the last one of the visit.
    not_before : str
        Day from which the dealer may be visited again; empty when the visit does not bar one.
    """

    inspection_id: str
    visited_on: str
    kind: str
    outcome: str
    not_before: str = ""

    @property
    def sentence(self) -> str:
        """Say it for a row of a page or file, without what was found."""
        after = f"; not before {self.not_before}" if self.not_before else ""
        return f"Visited {self.visited_on}: outcome told{after}."


def told_since(store: Store, view: View, document: Mapping[str, Any]) -> dict[str, ToldVisit]:
    """Return what was told of the visible dealers of a list since it was issued, by dealer."""
    seen = [row["dealer"] for row in document["rows"] if view.row(row["dealer"]) is not None]
    found = visited_since(store, seen, str(document["issued_at"]))
    return {
        dealer: ToldVisit(
            number,
            last_day(told),
            str(told["kind"]),
            str(told["outcome"]),
            _not_before(view, dealer) if told["kind"] in CONSUMING_KINDS else "",
        )
        for dealer, (told, number) in found.items()
    }


def _not_before(view: View, dealer: str) -> str:
    """Return the day that the dealer's own page says, empty when none bars a visit."""
    row = view.row(dealer)
    if row is None:
        return ""
    day = str(view.snapshot.columns["eligible_on"][row])[:10]
    return "" if day == "NaT" or day <= view.snapshot.as_of.isoformat() else day


def first_told(store: Store, since: str) -> list[tuple[str, str]]:
    """Return dealer and instant of each visit that was told first at or after an instant."""
    at = sa.func.min(OUTCOMES.c.at)
    query = sa.select(OUTCOMES.c.dealer, at).group_by(OUTCOMES.c.inspection_id, OUTCOMES.c.dealer)
    with store.read() as connection:
        return [(row[0], row[1]) for row in connection.execute(query.having(at >= since))]
