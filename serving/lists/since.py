"""What was told of a list's dealers since it was issued: beside the document, never in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from features.reference.twelve_month_rule import CONSUMING_KINDS
from serving.scores.snapshot import View
from serving.store.database import Store
from serving.store.tables import OUTCOMES

_AT_ONCE: Final = 500


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


def visited_since(
    store: Store, dealers: Sequence[str], issued_at: str
) -> dict[str, tuple[Mapping[str, Any], str]]:
    """Return the newest visit, and its number, of each dealer told first after a list was issued.

    A correction of what was told before the list is no new visit.
    """
    first = sa.select(OUTCOMES.c.inspection_id).group_by(OUTCOMES.c.inspection_id)
    first = first.having(sa.func.min(OUTCOMES.c.at) >= issued_at)
    out: dict[str, tuple[Mapping[str, Any], str]] = {}
    wanted = sorted(set(dealers))
    with store.read() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            some = OUTCOMES.c.dealer.in_(wanted[start : start + _AT_ONCE])
            query = sa.select(OUTCOMES).where(
                some, OUTCOMES.c.inspection_id.in_(first.where(some).scalar_subquery())
            )
            newest = {
                row.inspection_id: row
                for row in connection.execute(query.order_by(OUTCOMES.c.outcome_id))
            }
            for row in newest.values():
                before = out.get(row.dealer)
                if before is None or _last_day(row.document) >= _last_day(before[0]):
                    out[row.dealer] = (row.document, row.inspection_id)
    return out


def told_since(store: Store, view: View, document: Mapping[str, Any]) -> dict[str, ToldVisit]:
    """Return what was told of the visible dealers of a list since it was issued, by dealer."""
    seen = [row["dealer"] for row in document["rows"] if view.row(row["dealer"]) is not None]
    found = visited_since(store, seen, str(document["issued_at"]))
    return {
        dealer: ToldVisit(
            number,
            _last_day(told),
            str(told["kind"]),
            str(told["outcome"]),
            _not_before(view, dealer) if told["kind"] in CONSUMING_KINDS else "",
        )
        for dealer, (told, number) in found.items()
    }


def _last_day(told: Mapping[str, Any]) -> str:
    return str(told["closed_on"] or told["opened_on"])


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
