"""One request to one plan: draw, choose, route, price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from features import abandonment
from features.arrays import Flags, Ints
from serving.planning.candidates import Candidates, read_candidates
from serving.planning.itinerary import Plan, visits_of, weeks_of
from serving.planning.request import PlanRequest, policy
from serving.planning.solving import price, selection
from serving.planning.solving.draw import draw
from serving.planning.solving.price import PlanInfeasibleError
from serving.planning.solving.required_weeks import RequiredWeeks, required_weeks
from serving.planning.solving.selection import Choice, Selection
from serving.planning.solving.tour_program import WholeWeeks, whole_weeks
from serving.planning.solving.weekly_routes import Tour, route

# Required visits are looked at by whole weeks where the gap is above the one share, and they take
# more of all hours than the other.
_LOOSE, _CROWDED = 0.02, 0.25


def make_plan(frame: pd.DataFrame, request: PlanRequest) -> Plan:
    """Return the plan of an office: the most expected yield its hours and rules allow.

    Parameters
    ----------
    frame : DataFrame
        Candidates as `read_candidates` wants them. A dealer under a hold is simply not in it.
    request : PlanRequest

    Raises
    ------
    PlanInfeasibleError
        When no plan meets all rules; says which to relax, and by how much.
    """
    candidates = read_candidates(frame, request)
    is_drawn, probability = draw(candidates, request)
    problem = selection.build(candidates, request, is_drawn=is_drawn)
    abandonment.check()
    choice = selection.solve(problem)
    if choice is None:
        raise PlanInfeasibleError(price.relaxations(problem, candidates, request))
    abandonment.check()
    weeks = whole_weeks(problem, candidates, request)
    begin = () if weeks is None else weeks.sets
    is_begun = np.zeros(len(candidates), dtype=bool)
    is_begun[[i for members in begin for i in members]] = True
    meets = int((is_begun & problem.is_overdue).sum()) >= problem.n_overdue_wanted
    chosen = is_begun if begin and meets else choice.is_chosen
    is_required = problem.is_required | _quota(problem, chosen)
    pool = np.union1d(_pool(problem, choice, is_required=is_required), np.flatnonzero(is_begun))
    abandonment.check()
    tours = route(candidates, request, pool=pool, is_required=is_required, begin=begin)
    abandonment.check()
    proven, packed = _proven(problem, candidates, request, choice=choice, weeks=weeks, tours=tours)
    n_kept = int(is_required[_visited(tours)].sum())
    for begun in (
        () if packed is None else _to_begin(problem, candidates, request, weeks, packed, tours)
    ):
        others = route(
            candidates,
            request,
            pool=np.union1d(pool, [i for members in begun.sets for i in members]),
            is_required=is_required,
            begin=begun.sets,
            is_uneven=begun.is_uneven,
        )
        abandonment.check()
        if _is_better(candidates, others, tours, is_required=is_required):
            tours = others
    if is_required[_visited(tours)].sum() > n_kept:
        again, _ = _proven(problem, candidates, request, choice=choice, weeks=weeks, tours=tours)
        proven = min(proven, again)
    objective = _yield_of(candidates, tours)
    bound = max(proven, objective)  # another order may round higher
    return Plan(
        visits=visits_of(
            candidates,
            request,
            tours=tours,
            why=_why(problem, choice),
            probability=probability,
        ),
        weeks=weeks_of(request, tours),
        objective=objective,
        bound=bound,
        gap=_gap(objective, bound),
        selection_gap=_gap(choice.objective, choice.bound),
        n_candidates=len(candidates),
        n_overdue=int(candidates.is_overdue.sum()),
        set_aside=candidates.set_aside,
        shortfalls=_shortfalls(candidates, tours, is_required=is_required, is_drawn=is_drawn),
        costs=price.costs(problem, candidates),
        sensitivity=price.sensitivity(candidates, request, is_drawn=is_drawn),
        inclusion_probability=probability,
        n_drawn=int(is_drawn.sum()),
        listed_missing=_listed_missing(candidates, tours),
    )


def _listed_missing(candidates: Candidates, tours: tuple[Tour, ...]) -> dict[str, str]:
    """Return the dealers required from a list that are not visited, and why."""
    visited = {stop.candidate for tour in tours for stop in tour.stops}
    missed = [i for i in np.flatnonzero(candidates.is_listed) if int(i) not in visited]
    return dict(candidates.listed_aside) | {
        str(candidates.dealer[i]): "no place found in any investigator's week" for i in missed
    }


def _proven(
    problem: Selection,
    candidates: Candidates,
    request: PlanRequest,
    *,
    choice: Choice,
    weeks: WholeWeeks | None,
    tours: tuple[Tour, ...],
) -> tuple[float, RequiredWeeks | None]:
    """Return the most that any itinerary can yield under the rules that these tours keep.

    Required visits for which the route found no place are not required of the others either. Where
    the tours are far below, and required visits take much of the hours, these are looked at by
    whole weeks; what that says comes second.
    """
    bound = choice.bound if weeks is None else min(choice.bound, weeks.bound)
    is_in = np.zeros(len(problem.gain), dtype=bool)
    is_in[_visited(tours)] = True
    missed = problem.is_required & ~is_in
    if missed.any():
        problem = replace(
            problem,
            is_recall=problem.is_recall & is_in,
            is_drawn=problem.is_drawn & is_in,
            is_listed=problem.is_listed & is_in,
            n_overdue_wanted=max(
                problem.n_overdue_wanted - int((missed & problem.is_overdue).sum()), 0
            ),
        )
        again, weeks = selection.solve_relaxed(problem), whole_weeks(problem, candidates, request)
        bound = bound if again is None else again.bound
        bound = bound if weeks is None else min(bound, weeks.bound)
    needed = float(problem.load[problem.is_required].sum())
    is_loose = _gap(_yield_of(candidates, tours), bound) > _LOOSE
    if weeks is None or not is_loose or needed < _CROWDED * request.total_hours:
        return bound, None
    abandonment.check()
    packed = required_weeks(problem, candidates, request, weeks.prices)
    return (bound if packed is None else min(bound, packed.bound)), packed


def _to_begin(
    problem: Selection,
    candidates: Candidates,
    request: PlanRequest,
    weeks: WholeWeeks | None,
    packed: RequiredWeeks,
    tours: tuple[Tour, ...],
) -> list[RequiredWeeks]:
    """Return where the router begins anew: with all that is required, where these tours miss some.

    `packed` is of what the tours keep.
    """
    if weeks is None or np.isin(np.flatnonzero(problem.is_required), _visited(tours)).all():
        return [packed]
    whole = required_weeks(problem, candidates, request, weeks.prices)
    return [packed] if whole is None else [whole, packed]


def _is_better(
    candidates: Candidates,
    others: tuple[Tour, ...],
    tours: tuple[Tour, ...],
    *,
    is_required: Flags,
) -> bool:
    """Whether other tours leave out nobody required who is in these, and bring more."""
    before, after = _visited(tours), _visited(others)
    if np.setdiff1d(before[is_required[before]], after).size:
        return False
    if is_required[after].sum() > is_required[before].sum():
        return True
    return _yield_of(candidates, others) > _yield_of(candidates, tours)


def _visited(tours: tuple[Tour, ...]) -> Ints:
    return np.unique([stop.candidate for tour in tours for stop in tour.stops]).astype(np.int64)


def _yield_of(candidates: Candidates, tours: tuple[Tour, ...]) -> float:
    return float(candidates.expected_yield[_visited(tours)].sum())


def _why(problem: Selection, choice: Choice) -> npt.NDArray[np.str_]:
    """Why each dealer would be in the plan; what the quota alone brings in is coverage."""
    by_quota = np.zeros(len(problem.gain), dtype=bool)
    if problem.n_overdue_wanted:
        free = selection.solve_relaxed(replace(problem, n_overdue_wanted=0))
        if free is not None:
            by_quota = problem.is_overdue & choice.is_chosen & ~free.is_chosen
    return np.select(
        [problem.is_recall, problem.is_drawn, problem.is_listed, by_quota],
        ["recall", "random", "list", "coverage"],
        default="model",
    )


def _quota(problem: Selection, is_chosen: Flags) -> Flags:
    """Chosen overdue dealers that the router must keep to fill the quota, the best first."""
    keep = np.zeros(len(problem.gain), dtype=bool)
    overdue = np.flatnonzero(problem.is_overdue & is_chosen)
    # Those required anyway count first, then the quickest to visit for what they yield.
    rate = np.where(problem.is_required, np.inf, problem.gain / problem.load)[overdue]
    keep[overdue[np.argsort(-rate, kind="stable")][: problem.n_overdue_wanted]] = True
    return keep


def _pool(problem: Selection, choice: Choice, *, is_required: Flags) -> Ints:
    """Candidates the router may use: required, then chosen, then spares by yield per hour."""
    rate = problem.gain / problem.load
    rank = np.select([is_required, choice.is_chosen], [0, 1], default=2)
    order = np.lexsort((-rate, rank))
    hours = problem.hours_per_week * problem.n_investigators * problem.weeks
    n = int(np.searchsorted(np.cumsum(problem.load[order]), policy()["pool_factor"] * hours))
    return np.sort(order[: max(n, int((rank < 2).sum()))])


def _gap(objective: float, bound: float) -> float:
    return max(1.0 - objective / bound, 0.0) if bound > 0 else 0.0


def _shortfalls(
    candidates: Candidates, tours: tuple[Tour, ...], *, is_required: Flags, is_drawn: Flags
) -> tuple[str, ...]:
    """Name the required visits for which the route found no place, and recalls set aside."""
    visited = {stop.candidate for tour in tours for stop in tour.stops}
    missed = [int(i) for i in np.flatnonzero(is_required) if int(i) not in visited]
    aside = [
        f"{dealer} is due for recall and is {reason}."
        if reason.startswith("left")
        else f"{dealer} is due for recall and is left out of this plan: {reason}."
        for dealer, reason in candidates.recalls_aside.items()
    ]
    aside += [
        f"{dealer} is required from the list and is {reason}."
        if reason.startswith("left")
        else f"{dealer} is required from the list and is left out of this plan: {reason}."
        for dealer, reason in candidates.listed_aside.items()
        if dealer not in candidates.recalls_aside
    ]
    return (
        *aside,
        *(
            f"{candidates.dealer[i]} {_required_as(candidates, i, is_drawn=is_drawn)} and found no"
            " place in any investigator's week, whole or in parts"
            f" ({candidates.hours[i]:.1f} hours on site, {2 * candidates.way_hours[i]:.1f}"
            " driving there and back)."
            for i in missed
        ),
    )


def _required_as(candidates: Candidates, i: int, *, is_drawn: Flags) -> str:
    if candidates.is_recall_due[i]:
        return "is due for recall"
    if is_drawn[i]:
        return "was drawn at random"
    if candidates.is_listed[i]:
        return "is required from the list"
    return "is one of the longest unseen that are asked for"
