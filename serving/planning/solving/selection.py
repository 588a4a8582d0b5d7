"""The selection: which dealers, as a small integer program over the whole plan.

A visit needs only *some* lawful week, so the weeks enter as nested capacities: what is eligible
from week ``w`` on must fit the hours from week ``w`` on. One binary a dealer and one row a week
remain, whatever the number of weeks. Driving and packing enter as proven lower bounds on what any
itinerary spends, so the optimum is an upper bound on what any itinerary can yield, and the plan's
gap is measured against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.arrays import Flags, Floats, Ints
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.solving.linear_program import minimize

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint
    from scipy.sparse import csr_array

# Thresholds of the packing rows, as shares of an investigator's week.
_PACKING = (0.5, 0.4, 0.3, 0.2)
ROUNDING = 0.05  # hours that a way there and back can lose to whole seconds


@dataclass(frozen=True)
class Selection:
    """An integer program over the candidates; each field can be replaced to ask "what if".

    Parameters
    ----------
    gain : array, shape (n,)
        What each visit is worth.
    load : array, shape (n,)
        Hours of each visit with the least driving it can cost.
    n_parts : array of int, shape (n,)
        Investigator-weeks over which each visit is spread, usually 1.
    first_week : array of int, shape (n,)
    hours_per_week : float
        Hours of one investigator in a week.
    n_investigators, weeks : int
    hours_off : array, shape (weeks,)
        Hours that holidays and leave take from the office in each week.
    is_recall, is_drawn, is_listed, is_overdue : array of bool, shape (n,)
        Recalls due, dealers drawn at random and those required from a list are all visited.
    n_overdue_wanted : int
        How many of the overdue dealers are visited at least.
    """

    gain: Floats
    load: Floats
    n_parts: Ints
    first_week: Ints
    hours_per_week: float
    n_investigators: int
    weeks: int
    hours_off: Floats
    is_recall: Flags
    is_drawn: Flags
    is_listed: Flags
    is_overdue: Flags
    n_overdue_wanted: int

    @property
    def is_required(self) -> Flags:
        """Dealers that are in whatever they yield, shape (n,)."""
        return self.is_recall | self.is_drawn | self.is_listed


@dataclass(frozen=True)
class Choice:
    """A solved selection.

    Parameters
    ----------
    share : array, shape (n,)
        1 for a chosen dealer, 0 for another; between the two only in a relaxed solution.
    objective : float
        Yield of the chosen dealers.
    bound : float
        Proven upper bound on the yield of any selection, and so of any itinerary.
    """

    share: Floats
    objective: float
    bound: float

    @property
    def is_chosen(self) -> Flags:
        """Chosen dealers, shape (n,)."""
        return self.share > 0.5


def build(candidates: Candidates, request: PlanRequest, *, is_drawn: Flags) -> Selection:
    """Return the selection problem of a request."""
    wanted = 0
    if request.coverage_years is not None:
        n_overdue = int(candidates.is_overdue.sum())
        wanted = int(np.ceil(request.coverage_share * n_overdue - 1e-9))
    return Selection(
        gain=candidates.expected_yield,
        load=candidates.hours + least_drive_hours(candidates, request),
        n_parts=n_parts(candidates, request),
        first_week=candidates.first_week,
        hours_per_week=request.hours_per_week,
        n_investigators=request.n_investigators,
        weeks=request.weeks,
        hours_off=request.hours_off(),
        is_recall=candidates.is_recall_due,
        is_drawn=is_drawn,
        is_listed=candidates.is_listed,
        is_overdue=candidates.is_overdue,
        n_overdue_wanted=wanted,
    )


def n_parts(candidates: Candidates, request: PlanRequest) -> Ints:
    """Return over how many investigator-weeks each visit is spread, shape (n,), usually 1."""
    longest = request.longest_from()[candidates.first_week]
    on_site = longest - 2.0 * candidates.way_hours - ROUNDING
    return np.maximum(np.ceil(candidates.hours / np.maximum(on_site, 1.0)), 1).astype(np.int64)


def least_drive_hours(candidates: Candidates, request: PlanRequest) -> Floats:
    """Return hours of driving that visiting each dealer costs at the very least, shape (n,).

    An investigator's week of ``Q`` hours that reaches a dealer a way ``d`` off drives at least
    ``2 d`` and has at most ``Q - 2 d`` on site. So its driving is at least the sum over its visits
    of ``h x 2 d / (Q - 2 d)``: the farthest visit alone gives that for all its hours, and nearer
    ones ask for less. Summed over weeks, no plan drives less than the sum of what this returns: the
    radial bound of vehicle routing for a limit on time.

    References
    ----------
    Haimovich and Rinnooy Kan (1985), Bounds and heuristics for capacitated routing problems.
    """
    round_trip = 2.0 * candidates.way_hours
    return candidates.hours * round_trip / (request.hours_per_week - round_trip)


def solve(problem: Selection) -> Choice | None:
    """Return the best selection, proven within the policy's gap, or None when there is none."""
    return _run(problem, is_whole=True)


def solve_relaxed(problem: Selection) -> Choice | None:
    """Return the optimum when a visit may be done in fractions; quick, and never too low."""
    return _run(problem, is_whole=False)


def _run(problem: Selection, *, is_whole: bool) -> Choice | None:
    from scipy.optimize import LinearConstraint  # slow to import

    n = len(problem.gain)
    if n == 0:
        return Choice(np.zeros(0), 0.0, 0.0) if problem.n_overdue_wanted == 0 else None
    rows = [
        *capacity_rows(problem),
        LinearConstraint(_row(problem.is_overdue), problem.n_overdue_wanted, np.inf),
    ]
    lower = problem.is_required.astype(np.float64)
    found = minimize(-problem.gain, lower, rows=rows, is_whole=is_whole)
    if found is None:
        return None
    share = np.round(found.x) if is_whole else found.x
    return Choice(share, float(problem.gain @ share), -found.bound)


def capacity_rows(problem: Selection) -> list[LinearConstraint]:
    """Return the rows that keep hours, and the number of investigator-weeks, within the office's.

    The nested capacities say that what is eligible from a week on fits the hours from it on. The
    packing rows are dual feasible functions of bin packing: of visits longer than half a week, for
    example, no two share one. A visit in parts is in the hours only: how it is cut is the router's.
    """
    from scipy.optimize import LinearConstraint  # slow to import
    from scipy.sparse import csr_array

    starts = np.unique(np.append(problem.first_week, 0))
    week_hours = problem.hours_per_week * problem.n_investigators
    hours = np.where(problem.first_week >= starts[:, None], problem.load, 0.0)
    off = np.append(np.cumsum(problem.hours_off[::-1])[::-1], 0.0)
    room = week_hours * (problem.weeks - starts) - off[starts]
    rows = [LinearConstraint(csr_array(hours), -np.inf, room)]
    size = np.where(problem.n_parts == 1, problem.load / problem.hours_per_week, 0.0)
    packed = np.array([_packing(size, limit) for limit in _PACKING])
    n_tours = float(problem.n_investigators * problem.weeks)
    rows.append(LinearConstraint(csr_array(packed), -np.inf, n_tours))
    return rows


def _packing(size: Floats, limit: float) -> Floats:
    """Fekete and Schepers' dual feasible function: small items vanish, big ones fill a week."""
    return np.where(size > 1.0 - limit, 1.0, np.where(size < limit, 0.0, size))


def _row(flags: Flags) -> csr_array:
    from scipy.sparse import csr_array

    return csr_array(flags[None, :].astype(np.float64))
