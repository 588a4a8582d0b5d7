"""What supervisors ask: who was cited again, and what another number of investigators would do.

A dealer on hold is in no row and no count of either, so that no figure shows that it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from features.errors import InvalidValueError
from features.insight.repeats import DealerHistory, Repeats, repeats
from features.insight.staffing import Staffing, WhatIf, staffing
from features.reference.legal.outcome import WARNED
from serving.errors import InvalidRequestError
from serving.insight.cached import kept, warehouse_of
from serving.scores.visible_dealers import Scope


def repeats_for(scope: Scope, home: Path, *, years: int) -> Repeats:
    """Report on repeats as of the scored table's day, over the dealers that the caller sees."""
    warehouse = warehouse_of(home)
    as_of = scope.view.snapshot.as_of
    found = kept(
        warehouse, ("repeats", as_of, years), lambda: repeats(warehouse, as_of, years=years)
    )
    seen = found.within(lambda dealer: scope.row(dealer) is not None)
    told = scope.view.snapshot.overlay
    return replace(
        seen, histories=tuple(_told(one, told.get(one.dealer)) for one in seen.histories)
    )


def _told(one: DealerHistory, told: Mapping[str, Any] | None) -> DealerHistory:
    """Return a history whose recall is the one that follows the visit told last.

    What was found comes with the next records; that a recall was made, or follows now, is felt at
    once, as by lists and plans.
    """
    if told is None or "is_recall_due" not in told:
        return one
    if told["is_recall_due"]:
        return replace(one, recall="due", recall_on=None)
    is_warned = str(told["last_outcome"]) in WARNED
    return replace(one, recall="coming" if is_warned else "", recall_on=None)


def told_of(scope: Scope) -> dict[str, str]:
    """Return the opening day of the visit told last, by dealer, where the records lack it."""
    return {
        dealer: str(fields["last_inspected_on"])[:10]
        for dealer, fields in scope.view.snapshot.overlay.items()
        if "last_inspected_on" in fields and scope.row(dealer) is not None
    }


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
