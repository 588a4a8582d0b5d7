"""What was told of a list's dealers since it was issued: beside the document, never in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from features.domain.agency_day import day_of
from features.reference.legal.twelve_month_rule import CONSUMING_KINDS
from serving import clock
from serving.contract.field.decisions import OVERRIDE_WORDS
from serving.scores.visible_dealers import View
from serving.store.database import Store
from serving.store.tables import DECISIONS, OUTCOMES
from serving.store.told_visits import last_day, visited_since

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
    opened_on : str
        The first day of the visit; empty when it is not told apart from the last.
    """

    inspection_id: str
    visited_on: str
    kind: str
    outcome: str
    not_before: str = ""
    opened_on: str = ""

    @property
    def sentence(self) -> str:
        """Say it for a row of a page or file, without what was found.

        >>> ToldVisit("I-1", "2026-11-27", "recall", "none", opened_on="2026-11-26").sentence
        'Visited 2026-11-26 to 2026-11-27: outcome told.'
        >>> ToldVisit("I-1", "2026-11-27", "recall", "none", "2027-11-27").sentence
        'Visited 2026-11-27: outcome told; not before 2027-11-27.'
        """
        after = f"; not before {self.not_before}" if self.not_before else ""
        first = self.opened_on if self.opened_on < self.visited_on else ""
        days = f"{first} to {self.visited_on}" if first else self.visited_on
        return f"Visited {days}: outcome told{after}."


def told_since(store: Store, view: View, document: Mapping[str, Any]) -> dict[str, ToldVisit]:
    """Return what was told of the visible dealers of a list since it was issued, by dealer."""
    seen = [row["dealer"] for row in document["rows"] if row["dealer"] not in view.hidden]
    found = visited_since(store, seen, str(document["issued_at"]))
    return {
        dealer: ToldVisit(
            number,
            last_day(told),
            str(told["kind"]),
            str(told["outcome"]),
            _not_before(view, dealer) if told["kind"] in CONSUMING_KINDS else "",
            str(told["opened_on"]),
        )
        for dealer, (told, number) in found.items()
    }


@dataclass(frozen=True)
class DecidedElsewhere:
    """The newest decision about a dealer on another list, made after this one was issued.

    Parameters
    ----------
    decision, reason, who, at : str
        Accept or override, why, by which account, and the instant.
    """

    decision: str
    reason: str
    who: str
    at: str

    @property
    def sentence(self) -> str:
        """Say it for a row of a page."""
        made = "Accepted" if self.decision == "accept" else "Overridden"
        why = OVERRIDE_WORDS.get(self.reason, self.reason).lower()
        return f"{made} {day_of(self.at)} on another list{': ' + why if why else ''}."


def decided_elsewhere(
    store: Store, view: View, document: Mapping[str, Any]
) -> dict[str, DecidedElsewhere]:
    """Return what was decided on other lists of the visible dealers of a list since it was issued.

    A dealer about whom something was decided on the list itself afterwards is left out.
    """
    listed = {row["dealer"] for row in document["rows"]}
    seen = sorted(listed - view.hidden)
    newest: dict[str, sa.Row[Any]] = {}
    with store.read() as connection:
        for start in range(0, len(seen), _AT_ONCE):
            query = sa.select(DECISIONS).where(
                DECISIONS.c.dealer.in_(seen[start : start + _AT_ONCE]),
                DECISIONS.c.at >= str(document["issued_at"]),
            )
            for row in connection.execute(query.order_by(DECISIONS.c.decision_id)):
                newest[row.dealer] = row
    return {
        dealer: DecidedElsewhere(row.decision, row.reason or "", row.who, str(row.at))
        for dealer, row in newest.items()
        if row.list_id != document["list_id"]
    }


def _not_before(view: View, dealer: str) -> str:
    """Return the day that the dealer's own page says, empty when none bars a visit."""
    row = view.row(dealer)
    if row is None:
        return ""
    day = str(view.snapshot.columns["eligible_on"][row])[:10]
    reached = max(view.snapshot.as_of, clock.today()).isoformat()
    return "" if day == "NaT" or day <= reached else day


def first_told(store: Store, since: str) -> list[tuple[str, str]]:
    """Return dealer and instant of each visit that was told first at or after an instant."""
    at = sa.func.min(OUTCOMES.c.at)
    query = sa.select(OUTCOMES.c.dealer, at).group_by(OUTCOMES.c.inspection_id, OUTCOMES.c.dealer)
    with store.read() as connection:
        return [(row[0], row[1]) for row in connection.execute(query.having(at >= since))]
