"""What required visits leave to others: an integer program over what whole weeks can hold.

The program of `tour_program` may do a required visit half in one week and half in another. Where
required visits far apart fill the hours, halves go together that no week holds, and what it proves
lies far above every plan. Here each set of required visits that one week can hold is listed, with
the most that goes beside it, and each required visit is in one whole week. Of the others it is
given up alone that none is visited twice, at the prices of that program: what is proven holds for
every plan.

References
----------
Fisher (1981), The Lagrangian relaxation method for solving integer programming problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.arrays import Flags, Floats, Ints
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.solving.linear_program import Solution, minimize
from serving.planning.solving.parts_beside import ways_to_cut
from serving.planning.solving.prices import Prices
from serving.planning.solving.required_sets import Bases, RequiredSets
from serving.planning.solving.selection import Selection
from serving.planning.solving.tour_sets import (
    TooManySetsError,
    Visits,
    week_visits,
    weeks_by_length,
)
from serving.planning.travel import drive_hours, straight_places

_SECONDS: Final = 0.01  # hours that whole seconds can take from a week


@dataclass(frozen=True)
class _Part:
    """What is done of a visit in one week, as one way to cut it has it.

    Parameters
    ----------
    at : int
        Which of the visits in parts.
    hours : float
        On site.
    way : int
        Which way of all.
    n : int
        How many parts alike that way has.
    """

    at: int
    hours: float
    way: int
    n: int


@dataclass(frozen=True)
class _Column:
    """A week of some length from a start on, with what is required in it.

    Parameters
    ----------
    base : Bases
    row : int
        Of the part that is in it, or -1.
    start : int
    hours : float
    """

    base: Bases
    row: int
    start: int
    hours: float


@dataclass(frozen=True)
class RequiredWeeks:
    """What the program says.

    Parameters
    ----------
    bound : float
        Proven upper bound on the yield of any itinerary.
    sets : tuple of tuple of int
        Candidates that go together into one week each, to start the router from.
    is_uneven : array of bool, shape (n,)
        Visits in parts that are better cut unevenly.
    """

    bound: float
    sets: tuple[tuple[int, ...], ...]
    is_uneven: Flags


def required_weeks(
    problem: Selection, candidates: Candidates, request: PlanRequest, prices: Prices
) -> RequiredWeeks | None:
    """Return the bound and sets to start from, or None where sets are too many to list.

    Parameters
    ----------
    prices : Prices
        Of the visits that are not required, and of the quota; the bound holds for any.
    """
    if not problem.is_required.any() and (problem.n_parts == 1).all():
        return None  # nothing that weeks could be built on
    try:
        return _Program(problem, candidates, request, prices).solved()
    except TooManySetsError:
        return None


class _Program:
    """The integer program while its columns are listed."""

    def __init__(
        self, problem: Selection, candidates: Candidates, request: PlanRequest, prices: Prices
    ) -> None:
        starts = np.unique(np.append(problem.first_week, 0))
        visits = week_visits(candidates, problem.n_parts == 1, starts=starts)
        self.problem, self.n_starts = problem, len(starts)
        self.weeks = weeks_by_length(request, starts)
        overdue = np.where(problem.is_overdue, prices.overdue, 0.0)
        gain = problem.gain + overdue
        is_required = problem.is_required[visits.candidate]
        self.required = np.flatnonzero(is_required)
        worth = np.maximum(gain[visits.candidate] - prices.visit, 0.0)
        self.constant = (
            float(prices.visit[~is_required].sum())
            + float(gain[visits.candidate][is_required].sum())
            - prices.overdue * problem.n_overdue_wanted
        )
        self.cut = np.flatnonzero(problem.n_parts > 1)
        self.gain_of_cut = gain[self.cut]
        ways = ways_to_cut(problem, candidates, request, n_lengths=len(self.weeks))
        self.parts = list(_parts(ways, len(self.cut)))
        self.n_ways = len(ways)
        at = drive_hours(
            straight_places(candidates.latitude[self.cut], candidates.longitude[self.cut])
        )
        first = np.searchsorted(starts, problem.first_week[self.cut])
        self.sets = RequiredSets(
            visits,
            np.where(is_required, 0.0, worth),
            required=self.required,
            cut=Visits(
                self.cut, np.zeros(len(self.cut)), candidates.way_hours[self.cut], first, at
            ),
            longest=max(self.weeks),
            n_starts=self.n_starts,
        )
        self.columns: list[_Column] = []
        self.value: list[float] = []
        self.upper: list[float] = []
        self.entries: list[tuple[int, int, float]] = []  # row, column and coefficient

    def solved(self) -> RequiredWeeks | None:
        """List the columns, solve, and return what is proven and found."""
        bases = list(self.sets.listed())
        n_weeks = int(np.sum(list(self.weeks.values())))
        first_part = len(self.required)
        first_way = first_part + len(self.parts)
        for base in bases:
            self._add(base, row=-1, most=1 if base.members.shape[1] else n_weeks)
        for k, part in enumerate(self.parts):
            for base in bases:
                with_part = self.sets.with_part(base, part.at, part.hours)
                if len(with_part):
                    self._add(
                        with_part,
                        row=first_part + k,
                        most=1 if base.members.shape[1] else part.n,
                    )
        for at in range(len(self.cut)):
            for way in range(self.n_ways):
                column = len(self.value)
                self.value.append(float(self.gain_of_cut[at]))
                self.upper.append(1.0)
                self.entries.append((first_way + at, column, 1.0))
                self.entries += [
                    (first_part + k, column, -float(part.n))
                    for k, part in enumerate(self.parts)
                    if part.at == at and part.way == way
                ]
        found = self._run(first_way, self.problem.is_required[self.cut])
        if found is None:
            return None
        is_uneven = np.zeros(len(self.problem.gain), dtype=bool)
        chosen = found.x[len(self.columns) :].reshape(len(self.cut), self.n_ways) > 0.5
        is_uneven[self.cut] = chosen[:, 1::2].any(axis=1)
        taken = np.rint(found.x[: len(self.columns)]).astype(np.int64)
        return RequiredWeeks(self.constant - found.bound, self._sets(taken), is_uneven)

    def _add(self, base: Bases, *, row: int, most: int) -> None:
        """Add a column for each set, length and start where it is worth more than before."""
        before = np.full((len(base), self.n_starts), -np.inf)
        place = {int(visit): i for i, visit in enumerate(self.required)}
        for hours in sorted(self.weeks):
            value = self.sets.beside(base, hours)
            value = np.maximum(value, before)
            for i in range(len(base)):
                known = -np.inf
                rows = [place[m] for m in base.members[i].tolist() if m in place]
                for start in range(self.n_starts):
                    if value[i, start] <= max(known, before[i, start]) + 1e-12:
                        continue
                    known = float(value[i, start])
                    column = len(self.value)
                    self.value.append(known)
                    self.upper.append(float(most))
                    self.columns.append(_Column(base.one(i), row, start, hours))
                    self.entries += [(r, column, 1.0) for r in rows]
                    if row >= 0:
                        self.entries.append((row, column, 1.0))
            before = value

    def _run(self, first_way: int, is_required: Flags) -> Solution | None:
        from scipy.optimize import LinearConstraint  # slow to import
        from scipy.sparse import csr_array

        n, n_weeks = len(self.value), len(self.columns)
        row, column, value = (np.array(list(one)) for one in zip(*self.entries, strict=True))
        n_rows = first_way + len(self.cut)
        low, high = np.zeros(n_rows), np.zeros(n_rows)
        low[: len(self.required)] = high[: len(self.required)] = 1.0
        low[first_way:], high[first_way:] = is_required, 1.0
        start = np.array([one.start for one in self.columns])
        hours = np.array([one.hours for one in self.columns])
        lengths = np.array(sorted(self.weeks))[:-1]
        held = np.zeros((self.n_starts + len(lengths), n))
        held[: self.n_starts, :n_weeks] = start >= np.arange(self.n_starts)[:, None]
        held[self.n_starts :, :n_weeks] = hours > lengths[:, None]
        n_each = np.sum(list(self.weeks.values()), axis=0)
        n_longer = [sum(int(k.sum()) for h, k in self.weeks.items() if h > one) for one in lengths]
        return minimize(
            -np.array(self.value),
            np.zeros(n),
            rows=[
                LinearConstraint(csr_array((value, (row, column)), shape=(n_rows, n)), low, high),
                LinearConstraint(
                    csr_array(held), -np.inf, np.append(np.cumsum(n_each[::-1])[::-1], n_longer)
                ),
            ],
            is_whole=True,
            upper=np.array(self.upper),
        )

    def _sets(self, taken: Ints) -> tuple[tuple[int, ...], ...]:
        """Return what goes into the weeks that were taken, nobody twice, the shortest part first.

        The router takes the parts of a visit from the last, which is no longer than the others.
        """
        out, sets = [], self.sets
        worth = sets.worth.copy()
        order = sorted(np.flatnonzero(taken), key=lambda j: (-self.value[j], j))
        for at in (j for j in order for _ in range(int(taken[j]))):
            column = self.columns[at]
            best: dict[int, tuple[int, ...]] = {}
            sets.beside(column.base, column.hours - _SECONDS, sets=best)
            members = best.get(0, tuple(column.base.members[0].tolist()))
            sets.worth[[m for m in members if m < len(worth)]] = 0.0
            part = column.row - len(self.required)
            hours = self.parts[part].hours if column.row >= 0 else 0.0
            if members:
                out.append((hours, tuple(int(sets.all.candidate[m]) for m in members)))
        sets.worth = worth
        return tuple(members for _, members in sorted(out, key=lambda pair: pair[0]))


def _parts(ways: list[tuple[Ints, Floats, Floats]], n_cut: int) -> Iterator[_Part]:
    """Yield what is done in one week, of each visit and each way to cut it."""
    for way, (n, first, last) in enumerate(ways):
        for at in range(n_cut):
            if first[at] == last[at]:
                yield _Part(at, float(first[at]), way, int(n[at]))
            else:
                yield _Part(at, float(first[at]), way, int(n[at]) - 1)
                yield _Part(at, float(last[at]), way, 1)
