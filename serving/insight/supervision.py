"""What supervisors ask: who was cited again, and what another number of investigators would do.

A dealer on hold is in no row and no count of either, so that no figure shows that it is there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from features.errors import InvalidValueError
from features.insight.repeats import DealerHistory, Repeats, recall_after, repeats
from features.insight.staffing import Staffing, WhatIf, staffing
from features.reference.legal.twelve_month_rule import CONSUMING_KINDS
from serving.errors import InvalidRequestError
from serving.insight.cached import kept, warehouse_of
from serving.scores.visible_dealers import Scope
from serving.store.database import Store
from serving.store.told_visits import last_day, told_visits


def repeats_for(scope: Scope, home: Path, store: Store, *, years: int) -> Repeats:
    """Report on repeats as of the scored table's day, over the dealers that the caller sees."""
    warehouse = warehouse_of(home)
    as_of = scope.view.snapshot.as_of
    found = kept(
        warehouse, ("repeats", as_of, years), lambda: repeats(warehouse, as_of, years=years)
    )
    seen = found.within(lambda dealer: scope.row(dealer) is not None)
    felt = _felt(scope, store, {one.dealer for one in seen.histories})
    histories = tuple(
        _told(one, felt[one.dealer], as_of) if one.dealer in felt else one for one in seen.histories
    )
    return replace(seen, histories=histories)


@dataclass(frozen=True)
class _Felt:
    """The visit told since the records that lists and plans go by already."""

    opened_on: str
    ended_on: date
    outcome: str


def _felt(scope: Scope, store: Store, dealers: Collection[str]) -> dict[str, _Felt]:
    """Return what was told of visits that count toward the yearly allowance, by dealer."""
    overlay = scope.view.snapshot.overlay
    changed = [dealer for dealer in dealers if "last_inspected_on" in overlay.get(dealer, {})]
    out: dict[str, _Felt] = {}
    for dealer, visits in told_visits(store, changed).items():
        opened_on = str(overlay[dealer]["last_inspected_on"])[:10]
        days = [
            max(opened_on, last_day(visit))
            for visit in visits
            if visit["kind"] in CONSUMING_KINDS and str(visit["opened_on"]) == opened_on
        ]
        # One that was put right since, to be no such visit, is none.
        if days:
            ended = date.fromisoformat(max(days))
            out[dealer] = _Felt(opened_on, ended, str(overlay[dealer]["last_outcome"]))
    return out


def _told(one: DealerHistory, visit: _Felt, as_of: date) -> DealerHistory:
    """Return a history whose recall is the one that follows the visit told last.

    What was found comes with the next records; that a recall was made, or follows now, is felt at
    once, as by lists and plans.
    """
    word, due_on = recall_after(visit.ended_on, visit.outcome, as_of)
    return replace(one, recall=word, recall_on=due_on)


def told_of(scope: Scope, store: Store) -> dict[str, str]:
    """Return the opening day of the visit told last, by dealer, where the records lack it."""
    changed = [one for one in scope.view.snapshot.overlay if scope.row(one) is not None]
    return {dealer: visit.opened_on for dealer, visit in _felt(scope, store, changed).items()}


def what_if(
    investigators: Sequence[str], hours: float | None, border_share: float | None
) -> WhatIf:
    """Read what is asked.

    Raises
    ------
    InvalidRequestError
        When it cannot be.
    """
    try:
        people = dict(WhatIf.office_of(text) for text in investigators)
        return WhatIf(people, hours, border_share)
    except InvalidValueError as error:
        raise InvalidRequestError(error.what, expected=error.expected) from error


def staffing_for(scope: Scope, home: Path, ask: WhatIf) -> Staffing:
    """Answer a what-if as of the scored table's day.

    Raises
    ------
    InvalidRequestError
        When an office is unknown.
    NotReadyError
        When the records do not tell what is needed.
    """
    warehouse = warehouse_of(home)
    as_of = scope.view.snapshot.as_of
    asked = (tuple(sorted(ask.investigators.items())), ask.hours, ask.border_share, ask.years)
    try:
        return kept(
            warehouse, ("staffing", as_of, asked, scope.hidden),
            lambda: staffing(warehouse, as_of, ask, without=scope.hidden),
        )  # fmt: skip
    except InvalidValueError as error:
        raise InvalidRequestError(error.what, expected=error.expected, fix=error.fix) from error
