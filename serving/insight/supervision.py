"""What supervisors ask: who was cited again, and what another number of investigators would do.

A dealer on hold is in no row and no count of either, so that no figure shows that it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from features.errors import InvalidValueError
from features.insight.repeats import Repeats, repeats
from features.insight.staffing import Staffing, WhatIf, staffing
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
    return found.within(lambda dealer: scope.row(dealer) is not None)


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
