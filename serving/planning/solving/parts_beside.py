"""What visits in parts can add to a plan at most, beside what their weeks hold besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.arrays import Floats
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.solving.selection import ROUNDING, Selection
from serving.planning.solving.tour_sets import GRID, Visits, cells
from serving.planning.solving.weekly_routes import MORE_PARTS, cut_in_parts


@dataclass(frozen=True)
class Beside:
    """What whole visits are worth in a week.

    Parameters
    ----------
    visits : Visits
    worth : array, shape (n,)
    best : array
        What `most_worth` says of them.
    most : mapping of float to float
        What a week of so many hours holds at most.
    """

    visits: Visits
    worth: Floats
    best: Floats
    most: Mapping[float, float]


def most_of_cut(
    problem: Selection,
    candidates: Candidates,
    request: PlanRequest,
    beside: Beside,
    overdue: float,
) -> float:
    """Return the most that visits in parts add to what their weeks are worth without them.

    A week that holds a part has fewer hours for whole visits and drives at least to the farthest of
    all. What it is worth less than a week without is what the part takes. No two parts share a
    week, and they are cut as the router may cut them.

    Parameters
    ----------
    overdue : float
        What an overdue dealer is worth beyond its yield.
    """
    cut, visits, best = np.flatnonzero(problem.n_parts > 1), beside.visits, beside.best
    if not len(cut):
        return 0.0
    n_cells = best.shape[1] - 1
    # Most worth of whole visits by hours, driving included, of which one is at least that far.
    used = np.floor((2.0 * visits.way_hours + visits.hours) / GRID).astype(np.int64)
    at = np.arange(n_cells + 1)[None, :] - used[:, None]
    far = np.zeros((len(used) + 1, n_cells + 1))
    inside = np.take_along_axis(best[1:], np.maximum(at, 0), axis=1)
    far[1:] = np.where(at >= 0, beside.worth[:, None] + inside, 0.0)
    np.maximum.accumulate(far, axis=0, out=far)
    way = candidates.way_hours[cut]
    farther = np.searchsorted(-visits.way_hours, -way, side="left")

    def taken(part: Floats) -> Floats:
        least = np.full(len(cut), np.inf)
        for hours, most in beside.most.items():
            left, left_near = hours - part, hours - part - 2.0 * way
            near = np.where(left_near >= 0, best[farther, cells(np.maximum(left_near, 0.0))], 0.0)
            others = np.maximum(far[farther, cells(np.maximum(left, 0.0))], near)
            least = np.minimum(least, np.maximum(most - others, 0.0))
        return least

    on_site = candidates.hours[cut]
    longest = request.longest_from()[problem.first_week[cut]] - 2.0 * way - ROUNDING
    least = np.full(len(cut), np.inf)
    more = MORE_PARTS if len(beside.most) > 1 else 0  # in weeks alike, more parts fit no better
    for n_parts in (problem.n_parts[cut] + k for k in range(more + 1)):
        for is_even in (True, False):
            first, last = cut_in_parts(on_site, n_parts, most=longest, is_even=is_even)
            least = np.minimum(least, (n_parts - 1) * taken(first) + taken(last))
    adds = problem.gain[cut] + np.where(problem.is_overdue[cut], overdue, 0.0) - least
    return float(np.where(problem.is_required[cut], adds, np.maximum(adds, 0.0)).sum())
