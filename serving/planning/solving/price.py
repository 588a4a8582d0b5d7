"""What each rule costs, what other hours would bring, and what to relax when nothing fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from features.arrays import Flags, Floats, Ints
from features.domain.number_words import counted
from serving.contract.plan import least, most
from serving.planning.candidates import Candidates
from serving.planning.request import PlanError, PlanRequest
from serving.planning.solving import selection
from serving.planning.solving.selection import Selection

# More than these are no choice to make one by one.
_MOST_NAMED: Final = 40


@dataclass(frozen=True)
class Cost:
    """What one rule takes from the yield, by solving again without it.

    Parameters
    ----------
    rule : str
    meaning : str
        What was left out, in words.
    yield_lost : float
        Optimum without the rule less the optimum with it, both relaxed (a visit may be
        fractional), both with the least driving possible; not of the routed itinerary.
    """

    rule: str
    meaning: str
    yield_lost: float


@dataclass(frozen=True)
class Sensitivity:
    """What the plan could yield with other hours.

    Parameters
    ----------
    hours_per_week : float
    bound : float, optional
        Relaxed optimum; None when the rules cannot be met with these hours.
    change : float, optional
        `bound` less that of the hours asked for.
    """

    hours_per_week: float
    bound: float | None
    change: float | None


@dataclass(frozen=True)
class Relaxation:
    """One way to make an impossible request possible.

    Parameters
    ----------
    rule : str
        ``hours``, ``investigators``, ``recalls``, ``list``, ``random_share`` or ``coverage``.
    now, to : float
        Value asked for and the nearest value that works.
    sentence : str
    dealers : tuple of str
        Whose leaving is enough, of the rules ``recalls`` and ``list``.
    """

    rule: str
    now: float
    to: float
    sentence: str
    dealers: tuple[str, ...] = ()


class PlanInfeasibleError(PlanError):
    """No plan meets all rules; `relaxations` says which to relax, and to what."""

    code = "plan_infeasible"
    status = 409

    def __init__(self, relaxations: tuple[Relaxation, ...]) -> None:
        self.relaxations = relaxations
        super().__init__(
            "No plan meets all the rules of this request.",
            expected="hours that hold every recall due, the random share, the coverage quota and"
            " what is required from a list",
            fix=" Or: ".join(r.sentence for r in relaxations) or "Relax several rules together.",
        )


def costs(problem: Selection, candidates: Candidates) -> tuple[Cost, ...]:
    """Return what each rule costs; a rule that binds nothing costs 0."""
    none = np.zeros(len(candidates), dtype=bool)
    base = selection.solve_relaxed(problem)
    variants: tuple[tuple[str, str, Selection], ...] = (
        ("recalls", "without having to visit recalls due", replace(problem, is_recall=none)),
        ("random_share", "without the dealers drawn at random", replace(problem, is_drawn=none)),
        ("coverage", "without the coverage quota", replace(problem, n_overdue_wanted=0)),
        (
            "twelve_months",
            "if dealers that become eligible during the plan were eligible from its first day",
            replace(problem, first_week=np.zeros_like(problem.first_week)),
        ),
        ("travel", "without any driving", replace(problem, load=candidates.hours)),
        (
            "hours",
            "with one investigator more",
            replace(problem, n_investigators=problem.n_investigators + 1),
        ),
    )
    if problem.is_listed.any():
        without = replace(problem, is_listed=none)
        variants = (*variants, ("list", "without the dealers required from the list", without))
    out = []
    for rule, meaning, variant in variants:
        choice = selection.solve_relaxed(variant)
        lost = 0.0 if choice is None or base is None else choice.bound - base.bound
        out.append(Cost(rule, meaning, max(lost, 0.0)))
    return tuple(out)


def sensitivity(
    candidates: Candidates,
    request: PlanRequest,
    *,
    is_drawn: Flags,
    factors: tuple[float, ...] = (0.8, 1.2),
) -> tuple[Sensitivity, ...]:
    """Return what the plan could yield with other hours, the draw and the rules unchanged."""
    base = selection.solve_relaxed(selection.build(candidates, request, is_drawn=is_drawn))
    out = []
    for factor in factors:
        name = "hours_per_week"
        hours = min(max(request.hours_per_week * factor, least(name)), most(name))
        other = replace(request, hours_per_week=hours)
        choice = selection.solve_relaxed(selection.build(candidates, other, is_drawn=is_drawn))
        bound = None if choice is None else choice.bound
        change = None if bound is None or base is None else bound - base.bound
        out.append(Sensitivity(hours, bound, change))
    return tuple(out)


def relaxations(
    problem: Selection, candidates: Candidates, request: PlanRequest
) -> tuple[Relaxation, ...]:
    """Return, for each rule that alone can make the request possible, by how much to relax it."""
    out = _more_hours(problem, candidates, request)
    n_drawn, n_recall = int(problem.is_drawn.sum()), int(problem.is_recall.sum())
    left = _least_missed(problem, problem.is_recall & ~problem.is_drawn & ~problem.is_listed)
    if n_recall and left is not None:
        later = tuple(str(dealer) for dealer in candidates.dealer[left])
        out.append(
            Relaxation(
                "recalls",
                n_recall,
                n_recall - len(later),
                f"{_left_of(len(later), n_recall)} to a later plan: {', '.join(later)}.",
                later,
            )
        )
    out += _fewer_listed(problem, candidates)
    left = _least_missed(problem, problem.is_drawn & ~problem.is_recall & ~problem.is_listed)
    if n_drawn and left is not None:
        n_kept = n_drawn - len(left)
        share = float(np.floor(1e4 * request.random_share * n_kept / n_drawn) / 1e4)
        out.append(
            Relaxation(
                "random_share",
                request.random_share,
                share,
                f"Draw {counted(n_kept, 'dealer') if n_kept else 'no dealer'} at random instead of"
                f" {n_drawn}: a random share of {_percent(share)} instead of"
                f" {_percent(request.random_share)}.",
            )
        )
    wanted = problem.n_overdue_wanted
    reached = _most_covered(problem)
    if wanted and reached is not None:
        n_overdue = int(problem.is_overdue.sum())
        share = np.floor(1000 * reached / n_overdue) / 1000
        out.append(
            Relaxation(
                "coverage",
                request.coverage_share,
                float(share),
                f"Visit {reached} of the {n_overdue} overdue dealers instead of {wanted}:"
                f" a coverage share of {_percent(float(share))} instead of"
                f" {_percent(request.coverage_share)}.",
            )
        )
    return tuple(out)


def _fewer_listed(problem: Selection, candidates: Candidates) -> list[Relaxation]:
    """Leave some of the dealers that only a list requires to a later plan."""
    free = problem.is_listed & ~problem.is_recall & ~problem.is_drawn
    left = _least_missed(problem, free)
    if left is None or len(left) > _MOST_NAMED:
        return []
    n, later = int(free.sum()), tuple(str(dealer) for dealer in candidates.dealer[left])
    sentence = (
        f"Leave {len(later)} of {counted(n, 'dealer')} required from the list to a later plan: "
        f"{', '.join(later)}."
    )
    return [Relaxation("list", n, n - len(later), sentence, later)]


def _more_hours(
    problem: Selection, candidates: Candidates, request: PlanRequest
) -> list[Relaxation]:
    """Longer weeks, in half hours, or more investigators: the fewest with which a plan exists."""

    def is_possible(**changes: float) -> bool:
        other = replace(request, **changes)  # type: ignore[arg-type]
        again = selection.build(candidates, other, is_drawn=problem.is_drawn)
        return selection.solve(replace(again, gain=np.zeros_like(again.gain))) is not None

    out = []
    now = request.hours_per_week
    halves = _least(
        1,
        int(2 * (most("hours_per_week") - now)),
        lambda n: is_possible(hours_per_week=now + n / 2),
    )
    if halves is not None:
        to = now + halves / 2
        sentence = f"Give each investigator {to:g} hours a week instead of {now:g}."
        out.append(Relaxation("hours", now, to, sentence))
    people = request.n_investigators
    more = _least(
        people + 1, int(most("n_investigators")), lambda n: is_possible(n_investigators=n)
    )
    if more is not None:
        sentence = f"Send {more} investigators instead of {people}."
        out.append(Relaxation("investigators", people, more, sentence))
    return out


def _least(low: int, high: int, is_enough: Callable[[int], bool]) -> int | None:
    """Least whole number from `low` to `high` that is enough, given that more never is less."""
    if low > high or not is_enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return high


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _left_of(n: int, n_recall: int) -> str:
    """Name some of the recalls due, to be left out.

    >>> _left_of(1, 1), _left_of(2, 2), _left_of(1, 3)
    ('Leave the one recall due', 'Leave both recalls due', 'Leave 1 of the 3 recalls due')
    """
    if n < n_recall:
        return f"Leave {n} of the {n_recall} recalls due"
    return {1: "Leave the one recall due", 2: "Leave both recalls due"}.get(
        n, f"Leave all {n} recalls due"
    )


def _least_missed(problem: Selection, free: Flags) -> Ints | None:
    """Which `free` required visits, as few as can be, must be left out when all else holds.

    Of as many, those with the least expected yield together.
    """
    if not free.any():
        return None
    lower = problem.is_required & ~free
    # Yields break ties only: all of them together weigh less than half a visit.
    ties = 0.5 * problem.gain / max(float(problem.gain[free].sum()), 1e-12)
    share = _extreme(problem, -np.where(free, 1.0 + ties, 0.0), lower=lower)
    return None if share is None else np.flatnonzero(free & (share < 0.5))


def _most_covered(problem: Selection) -> int | None:
    """Most overdue dealers that can be visited when all else holds."""
    without = replace(problem, n_overdue_wanted=0)
    goal = -problem.is_overdue.astype(np.float64)
    share = _extreme(without, goal, lower=problem.is_required)
    return None if share is None else round(float(-goal @ share))


def _extreme(problem: Selection, goal: Floats, *, lower: Flags) -> Floats | None:
    """Return which visits make the goal least, shape (n,), or None when there is no way."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import
    from scipy.sparse import csr_array

    overdue = csr_array(problem.is_overdue[None, :].astype(np.float64))
    result = milp(
        goal,
        integrality=np.ones(len(goal)),
        bounds=Bounds(lower.astype(np.float64), np.ones(len(goal))),
        constraints=[
            *selection.capacity_rows(problem),
            LinearConstraint(overdue, problem.n_overdue_wanted, np.inf),
        ],
        options={"mip_rel_gap": 0.0, "time_limit": 3.0},
    )
    return None if result.x is None else np.asarray(result.x, dtype=np.float64)
