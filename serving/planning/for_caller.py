"""Plans of an office for one caller: the dealers the caller sees, the office's place, one solve."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from serving.access.accounts import Principal
from serving.errors import OutsideAreaError
from serving.planning import Plan, PlanRequest, make_plan
from serving.planning.office import candidate_table, office_rows
from serving.planning.start import Start, office_start
from serving.scores.areas import own_in_words
from serving.scores.snapshot import today
from serving.scores.visible_dealers import Scope

_MOST_KEPT: Final = 32


@dataclass(frozen=True)
class Made:
    """A plan with what it was made from."""

    plan: Plan
    request: PlanRequest
    table: pd.DataFrame


class _Shelf:
    """Plans made lately, so that a change by hand does not solve everything again."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Made] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, table: pd.DataFrame, request: PlanRequest) -> Made:
        """Return the plan, made now or found."""
        # The content of the table stands for all that can change it: holds, outcomes, scores.
        rows = pd.util.hash_pandas_object(table).to_numpy().tobytes()
        key = f"{hashlib.sha256(rows).hexdigest()} {request}"
        with self._lock:
            found = self._made.get(key)
        if found is None:
            found = Made(make_plan(table, request), request, table)
            with self._lock:
                self._made[key] = found
                while len(self._made) > _MOST_KEPT:
                    self._made.popitem(last=False)
        return found


_SHELF: Final = _Shelf()


def next_monday(day: date) -> date:
    """Return the first Monday on or after a day.

    >>> next_monday(date(2026, 1, 1))
    datetime.date(2026, 1, 5)
    """
    return day + timedelta(days=-day.weekday() % 7)


def first_monday(scope: Scope) -> date:
    """Return the first Monday from today on, or from the records' day where that is later."""
    return next_monday(max(today(), scope.view.snapshot.as_of))


def plan_office(
    scope: Scope,
    principal: Principal,
    office: str,
    *,
    rules: Mapping[str, Any],
    home: Path,
    starts_on: date | None = None,
    start: Start | None = None,
    closed: frozenset[str] = frozenset(),
) -> Made:
    """Return the plan of an office.

    Parameters
    ----------
    rules : mapping
        The fields of `PlanRequest` but for the place and the first day.
    home : Path
        Whose ``offices.toml`` states where offices are.
    starts_on : date, optional
        `first_monday` when absent: nobody visits on a day that is over.
    start : Start, optional
        Where weeks start and end; what stands for the office when absent.
    closed : frozenset of str
        Dealers that an inspector found out of business: nobody is sent there.

    Raises
    ------
    OutsideAreaError
        When the office is not the caller's, or there is none of that name.
    PlanError
        When no plan can be made.
    StaleTableError
        When the records are too old to send anybody anywhere by.
    """
    scope.view.snapshot.check_age(today())
    rows = office_rows(scope.view, scope.own, office)
    if not len(rows):
        raise OutsideAreaError(
            "No dealer of yours belongs to the office asked for.",
            found=office,
            expected=f"within {own_in_words(principal)}",
        )
    start = start or office_start(scope.view, rows, office, home=home)
    request = PlanRequest(
        latitude=start.latitude,
        longitude=start.longitude,
        start=start.words,
        starts_on=starts_on or first_monday(scope),
        office=office,
        **rules,
    )
    table = candidate_table(scope.view, rows, starts_on=request.starts_on, weeks=request.weeks)
    is_closed = table["dealer"].isin(closed).to_numpy()
    made = _SHELF.get(table[~is_closed].reset_index(drop=True), request)
    if not is_closed.any():
        return made
    aside = {**made.plan.set_aside, "overridden as out of business": int(is_closed.sum())}
    return replace(made, plan=replace(made.plan, set_aside=aside))
