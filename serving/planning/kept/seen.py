"""A kept plan as one reader may see it: a dealer held from the reader was never in it.

Days, hours and counts of what is left are those of a plan without the dealer, so that no gap shows
where it stood.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from serving.contract.kept_plan import KeptPlan, KeptVisit
from serving.planning.candidates import read_candidates
from serving.planning.kept.document import measured, request_of, terms_of, weeks_of_document
from serving.planning.kept.in_names import dealers_in
from serving.planning.office import candidate_table, office_rows
from serving.planning.workdays import days_on_site
from serving.scores.visible_dealers import Scope, View

_Week = tuple[int, int]


def seen_by(plan: KeptPlan, scope: Scope) -> KeptPlan:
    """Return a plan as a caller may see it: a dealer held from the caller was never in it."""
    hidden = _hidden(plan, scope)
    if not hidden:
        return plan
    shown = [visit for visit in plan.visits if visit.dealer not in hidden]
    gone = [visit for visit in plan.visits if visit.dealer in hidden]
    worth = {visit.dealer: visit.expected_yield for visit in gone}
    weeks = {_week(visit) for visit in gone}
    # What is the best without a dealer is no better than with it: the bound stays one.
    changes: dict[str, Any] = {
        "visits": _timed(plan, shown, weeks),
        "objective": plan.objective - sum(worth.values()),
        "moves": [m for m in plan.moves if m.partition("~")[0] not in hidden],
        "broken": _not_naming(hidden, plan.broken),
        "shortfalls": _not_naming(hidden, plan.shortfalls),
    }
    return _with_hours_said(plan.model_copy(update=changes), weeks)


def with_unseen(changed: KeptPlan, whole: KeptPlan, scope: Scope) -> KeptPlan:
    """Return what a caller made of a plan with what is held from the caller left as it was.

    Parameters
    ----------
    changed : KeptPlan
        Made from the plan as `seen_by` shows it.
    whole : KeptPlan
        The plan as kept.
    """
    changed = changed.model_copy(update={"set_aside": whole.set_aside})
    hidden = _hidden(whole, scope)
    if not hidden:
        return changed
    unseen = [visit for visit in whole.visits if visit.dealer in hidden]
    worth = {visit.dealer: visit.expected_yield for visit in unseen}
    weeks = {_week(visit) for visit in unseen}

    def of(sentences: Sequence[str]) -> list[str]:
        return [s for s in sentences if s not in _not_naming(hidden, sentences)]

    changes: dict[str, Any] = {
        "visits": _timed(whole, _put_back(changed.visits, unseen), weeks),
        "objective": changed.objective + sum(worth.values()),
        "moves": [*changed.moves, *(m for m in whole.moves if m.partition("~")[0] in hidden)],
        "broken": [*changed.broken, *of(whole.broken)],
        "shortfalls": [*changed.shortfalls, *of(whole.shortfalls)],
    }
    return _with_hours_said(changed.model_copy(update=changes), weeks)


def recounted(plan: KeptPlan, view: View, closed: Collection[str]) -> KeptPlan:
    """Return a plan that counts anew, among the dealers of its reader, those it set aside.

    The counts of whoever made it would hold dealers that its reader does not see.

    Parameters
    ----------
    closed : collection of str
        Dealers found out of business.
    """
    request = request_of(plan, terms_of(plan).workdays(plan.starts_on, plan.weeks))
    everywhere = np.ones(len(view.is_visible), dtype=bool)
    table = candidate_table(
        view, office_rows(view, everywhere, plan.office), starts_on=plan.starts_on, weeks=plan.weeks
    )
    is_closed = table["dealer"].isin(closed).to_numpy()
    counts = dict(read_candidates(table[~is_closed].reset_index(drop=True), request).set_aside)
    more = {
        "left to a later plan by hand": sum("left to a later one" in s for s in plan.shortfalls),
        "overridden as out of business": int(is_closed.sum()),
    }
    counts |= {reason: n for reason, n in more.items() if n}
    return plan.model_copy(update={"set_aside": counts})


def _hidden(plan: KeptPlan, scope: Scope) -> set[str]:
    """Return the dealers held from a caller that a plan visits or names."""
    named = dealers_in([*plan.moves, *plan.broken, *plan.shortfalls])
    return set((named | {visit.dealer for visit in plan.visits}) & scope.hidden)


def _week(visit: KeptVisit) -> _Week:
    return visit.week, visit.investigator


def _not_naming(hidden: Collection[str], sentences: Iterable[str]) -> list[str]:
    return [s for s in sentences if not any(dealer in s for dealer in hidden)]


def _timed(
    plan: KeptPlan, visits: Sequence[KeptVisit], weeks: Collection[_Week]
) -> list[KeptVisit]:
    """Return visits in their order, those of some weeks timed anew: one begins as another ends."""
    days = terms_of(plan).workdays(plan.starts_on, plan.weeks)
    request = request_of(plan, days)
    out: list[KeptVisit] = []
    at, clock = (0, 0), 0.0
    for visit in measured(visits, plan.latitude, plan.longitude):
        if at != _week(visit):
            at, clock = _week(visit), 0.0
        clock += visit.drive_hours
        own = days.days[visit.week - 1][visit.investigator - 1]
        if at not in weeks:
            out.append(visit)
        elif not own:
            out.append(visit.model_copy(update={"starts_after_hours": clock}))
        else:
            first_on, last_on = days_on_site(clock, visit.hours, own, request)
            changes = {"starts_after_hours": clock, "first_on": first_on, "last_on": last_on}
            out.append(visit.model_copy(update=changes))
        clock += visit.hours
    return out


def _put_back(visits: Sequence[KeptVisit], unseen: Sequence[KeptVisit]) -> list[KeptVisit]:
    """Return visits with the unseen at the places that they had in their weeks."""
    out = [visit for visit in visits if _week(visit) not in {_week(one) for one in unseen}]
    for week in sorted({_week(one) for one in unseen}):
        stops = sorted((v for v in visits if _week(v) == week), key=lambda v: v.order)
        for one in sorted((v for v in unseen if _week(v) == week), key=lambda v: v.order):
            stops.insert(one.order - 1, one)
        out += [stop.model_copy(update={"order": n}) for n, stop in enumerate(stops, start=1)]
    return out


def _with_hours_said(plan: KeptPlan, weeks: Collection[_Week]) -> KeptPlan:
    """Return a plan that says of some weeks by how much they are over, by the visits it has."""
    begins, over = [], []
    for one in weeks_of_document(plan):
        if (one.week, one.investigator) not in weeks:
            continue
        begin = f"Week {one.week} of {plan.investigators[one.investigator - 1]} takes"
        begins.append(begin)
        if one.is_over:
            more = one.hours - one.hours_available
            over.append(f"{begin} {one.hours:.1f} hours, {more:.1f} more than there are.")
    rest = [s for s in plan.broken if not s.startswith(tuple(begins))]
    return plan.model_copy(update={"broken": [*over, *rest]})
