"""What visits in parts can add to a plan at most, beside what their weeks hold besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.arrays import Flags, Floats, Ints
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.solving.selection import ROUNDING, Selection
from serving.planning.solving.tour_sets import GRID, TooManySetsError, Visits, cells, worth_more
from serving.planning.solving.weekly_routes import MORE_PARTS, cut_in_parts
from serving.planning.travel import drive_hours, straight_places

_SHARES: Final = (0.8, 0.9)  # of what seems possible beside a part, from which sets are listed
_MOST_IN_ORDER: Final = 4
_BLOCK: Final = 2_000


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

    def beside(self, part: float, hours: float, *, at: Visits, limit: float) -> float:
        """Return the most that goes into a week beside a part, driving between them included.

        Parameters
        ----------
        part, hours : float
            Hours on site of the part, and of the week.
        at : Visits
            All visits and, last, the one in parts.
        limit : float
            What is known to be above it; that is returned where there are too many to list.
        """
        last = len(self.worth)
        for share in _SHARES if limit > 0 else ():
            least = np.full(int(self.visits.first_week.max(initial=0)) + 1, share * limit)
            try:
                listed = worth_more(
                    self.visits, self.worth, least, hours=hours - part, best=self.best
                )
            except TooManySetsError:
                continue
            found = share * limit
            for sets in listed:
                order = np.argsort(-sets.worth, kind="stable")
                for first in range(0, len(order), _BLOCK):
                    some = order[first : first + _BLOCK]
                    if sets.worth[some[0]] <= found:
                        break
                    fits = self._fit(sets.members[some], part, hours, at=at, last=last)
                    found = max(found, float(sets.worth[some][fits].max(initial=0.0)))
            return min(found, limit)
        return limit

    def _fit(self, members: Ints, part: float, hours: float, *, at: Visits, last: int) -> Flags:
        """Return which sets fit into the week beside the part; of many visits, all may."""
        if members.shape[1] > _MOST_IN_ORDER:
            return np.ones(len(members), dtype=bool)
        both = np.column_stack([members, np.full(len(members), last)])
        fits: Flags = at.shortest_drive(both) + at.hours[members].sum(axis=1) + part <= hours + 1e-9
        return fits


def most_of_cut(
    problem: Selection,
    candidates: Candidates,
    request: PlanRequest,
    beside: Beside,
    overdue: float,
    *,
    is_driven: bool = False,
) -> float:
    """Return the most that visits in parts add to what their weeks are worth without them.

    A week that holds a part has fewer hours for whole visits and drives at least to the farthest of
    all. What it is worth less than a week without is what the part takes. No two parts share a
    week, and they are cut as the router may cut them.

    Parameters
    ----------
    overdue : float
        What an overdue dealer is worth beyond its yield.
    is_driven : bool
        Whether the way between a part and what is beside it counts, too, of the visits that add
        something or are required: a lower bound that takes longer.
    """
    cut = np.flatnonzero(problem.n_parts > 1)
    if not len(cut):
        return 0.0
    way = candidates.way_hours[cut]
    relaxed = _Relaxed(beside, way)
    ways = ways_to_cut(problem, candidates, request, n_lengths=len(beside.most))
    least = np.min(
        [(n - 1) * relaxed.taken(first) + relaxed.taken(last) for n, first, last in ways], axis=0
    )
    gain = problem.gain[cut] + np.where(problem.is_overdue[cut], overdue, 0.0)
    is_required = problem.is_required[cut]
    for k in np.flatnonzero(is_required | (gain > least)) if is_driven else ():
        own = [(int(n[k]), float(first[k]), float(last[k])) for n, first, last in ways]
        least[k] = _driven(candidates, beside, relaxed.of(int(k)), int(cut[k]), own)
    adds = gain - least
    return float(np.where(is_required, adds, np.maximum(adds, 0.0)).sum())


def ways_to_cut(
    problem: Selection, candidates: Candidates, request: PlanRequest, *, n_lengths: int
) -> list[tuple[Ints, Floats, Floats]]:
    """Return each way in which the router may cut the visits in parts.

    Parameters
    ----------
    n_lengths : int
        Of weeks; in weeks alike, more parts fit no better.

    Returns
    -------
    list of tuple
        How many parts, hours on site of each but the last, and of the last, each of shape (n_cut,).
    """
    cut = np.flatnonzero(problem.n_parts > 1)
    way = 2.0 * candidates.way_hours[cut]
    longest = request.longest_from()[problem.first_week[cut]] - way - ROUNDING
    ways = []
    for n_parts in (
        problem.n_parts[cut] + k for k in range(MORE_PARTS + 1 if n_lengths > 1 else 1)
    ):
        for is_even in (True, False):
            first, last = cut_in_parts(
                candidates.hours[cut], n_parts, most=longest, is_even=is_even
            )
            ways.append((n_parts, first, last))
    return ways


class _Relaxed:
    """What parts take where visits beside them need no driving but to the farthest of all.

    Parameters
    ----------
    way : array, shape (n_cut,)
        Hours at the wheel to each visit in parts.
    """

    def __init__(self, beside: Beside, way: Floats) -> None:
        self.most, self.best, self.way = beside.most, beside.best, way
        visits, best = beside.visits, beside.best
        n_cells = best.shape[1] - 1
        # Most worth of whole visits by hours, driving included, of which one is at least that far.
        used = np.floor((2.0 * visits.way_hours + visits.hours) / GRID).astype(np.int64)
        at = np.arange(n_cells + 1)[None, :] - used[:, None]
        self.far = np.zeros((len(used) + 1, n_cells + 1))
        inside = np.take_along_axis(best[1:], np.maximum(at, 0), axis=1)
        self.far[1:] = np.where(at >= 0, beside.worth[:, None] + inside, 0.0)
        np.maximum.accumulate(self.far, axis=0, out=self.far)
        self.farther = np.searchsorted(-visits.way_hours, -way, side="left")

    def of(self, k: int) -> _Relaxed:
        """Return the same of one visit in parts alone."""
        own = copy(self)
        own.way, own.farther = self.way[[k]], self.farther[[k]]
        return own

    def others(self, part: Floats, hours: float) -> Floats:
        """Return the most that goes beside each part into a week of so many hours."""
        left, left_near = hours - part, hours - part - 2.0 * self.way
        near = self.best[self.farther, cells(np.maximum(left_near, 0.0))]
        near = np.where(left_near >= 0, near, 0.0)
        most: Floats = np.maximum(self.far[self.farther, cells(np.maximum(left, 0.0))], near)
        return most

    def taken(self, part: Floats) -> Floats:
        """Return what each part takes at least, of a week of any length."""
        least = np.full(len(self.way), np.inf)
        for hours, most in self.most.items():
            least = np.minimum(least, np.maximum(most - self.others(part, hours), 0.0))
        return least


def _driven(
    candidates: Candidates,
    beside: Beside,
    relaxed: _Relaxed,
    candidate: int,
    ways: Sequence[tuple[int, float, float]],
) -> float:
    """Return what a visit takes at least, cut in any of some ways; the cheapest are looked at."""
    c, own = candidates, [candidate]
    way = float(c.way_hours[candidate])
    place = drive_hours(straight_places(c.latitude[own], c.longitude[own]))
    at = beside.visits.with_one(0.0, way, 0, place)
    known: dict[tuple[float, float], float] = {}

    def taken(part: float) -> tuple[float, tuple[float, float] | None]:
        """Return what a part takes as far as is known, and what should be known for it."""
        least, unknown = np.inf, None
        for hours, most in beside.most.items():
            others = known.get((part, hours))
            if others is None:
                others = float(relaxed.others(np.array([part]), hours)[0])
            if (lost := max(most - others, 0.0)) < least:
                least, unknown = lost, None if (part, hours) in known else (part, hours)
        return least, unknown

    while True:
        found = []
        for n, first, last in ways:
            (a, one), (b, other) = taken(first), taken(last)
            found.append(((n - 1) * a + b, one or other))
        least, unknown = min(found, key=lambda pair: pair[0])
        if unknown is None:
            return least
        part, hours = unknown
        limit = float(relaxed.others(np.array([part]), hours)[0])
        known[unknown] = beside.beside(part, hours, at=at, limit=limit)
