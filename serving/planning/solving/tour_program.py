"""What whole weeks can yield: a linear program over sets of visits, and the bound it proves.

Its columns are sets of visits that one investigator's week can hold, so what packing and driving
lose in a week is in it, and not only in the sum of all hours. Prices of visits and weeks come from
the program; the bound is Lagrange's and holds for any prices: every visit pays its price, and no
week can hold visits worth more, beyond their prices, than what was listed.

References
----------
Desaulniers, Desrosiers and Solomon (2005), Column Generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import abandonment
from features.arrays import Floats
from features.highs import new_solver
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.solving.parts_beside import Beside, most_of_cut
from serving.planning.solving.prices import Judged, Prices, first_prices
from serving.planning.solving.selection import Selection
from serving.planning.solving.tour_sets import (
    Sets,
    TooManySetsError,
    most_worth,
    week_visits,
    weeks_by_length,
    worth_more,
)
from serving.planning.travel import drive_hours, straight_places

if TYPE_CHECKING:
    import highspy

_ROUNDS: Final = 25
_HALVINGS: Final = 3
_FIRST_PRICES: Final = (0.9, 0.95, 0.98)  # shares of a week's price from which sets are listed
_FIRST_COLUMNS, _MORE_COLUMNS = 3000, 400
_ENOUGH: Final = 0.0005  # of the bound, that more rounds could take off it at most
_MAYBE: Final = 0.05
_MOST_BESIDE: Final = 12  # visits in parts whose weeks are filled
_BESIDE: Final = 0.75  # of a week's price by hours, from which sets beside a part are listed
_MOST_IN_ORDER: Final = 4
_TINY: Final = 1e-9
_SECOND: Final = 1.0 / 3600.0
_LIKELY: Final = 0.75  # of a set, in the program, from which it is taken


@dataclass(frozen=True)
class WholeWeeks:
    """What the program says.

    Parameters
    ----------
    bound : float
        Proven upper bound on the yield of any itinerary.
    prices : Prices
        That prove it.
    sets : tuple of tuple of int
        Candidates that go well together into one week each, to start the router from; of a visit in
        parts it is one of them.
    """

    bound: float
    prices: Prices
    sets: tuple[tuple[int, ...], ...]


def whole_weeks(
    problem: Selection, candidates: Candidates, request: PlanRequest
) -> WholeWeeks | None:
    """Return the bound and sets to start from, or None where sets are too many to list."""
    program = _Program(problem, candidates, request)
    if not program.slots or not program.n:
        return None
    try:
        bound = program.solve()
    except TooManySetsError:
        return None
    return WholeWeeks(bound, program.best_prices, program.rounded())


class _Program:
    """The linear program while sets are added to it."""

    def __init__(self, problem: Selection, candidates: Candidates, request: PlanRequest) -> None:
        self.problem, self.candidates, self.request = problem, candidates, request
        self.starts = np.unique(np.append(problem.first_week, 0))
        self.visits = week_visits(candidates, problem.n_parts == 1, starts=self.starts)
        self.whole, self.cut = self.visits.candidate, np.flatnonzero(problem.n_parts > 1)
        self.slots = weeks_by_length(request, self.starts)
        self.lengths = np.array(sorted(self.slots))
        self.hours = max(self.slots, default=0.0)
        self.n, self.first_set = len(self.whole), 0
        self.sets: list[tuple[int, ...]] = []
        self.needs: list[float] = []
        self.known: set[tuple[int, ...]] = set()

    def solve(self) -> float:
        """Add sets until the bound is near what they yield, and return the bound."""
        self.solver = self._started()
        hours = sum(length * int(n.sum()) for length, n in self.slots.items())
        prices = first_prices(self.problem, self.whole, self.lengths, len(self.starts), hours=hours)
        listed, best, of_best = self._first_listed(prices), np.inf, Judged(np.inf, float)
        self.best_prices = prices
        for _ in range(_ROUNDS):
            most = _MORE_COLUMNS if np.isfinite(best) else _FIRST_COLUMNS
            n_added = sum(self._add(of_length, prices, most=most) for of_length in listed)
            if not n_added and np.isfinite(best):
                break
            new, value = self._solved()
            prices, bound, listed = self._priced(new, prices)
            self.prices = prices
            if bound < best:
                best, of_best, self.best_prices = bound, self.judged, prices
            if best <= value * (1.0 + _ENOUGH):
                break
        return min(float(best), of_best.total + of_best.of_cut(is_driven=True))

    def _started(self) -> highspy.Highs:
        """Return the program without sets.

        Rows are visits, weeks from each start, the quota, weeks longer than each length, and of
        visits in parts, where lengths differ, each.
        """
        from highspy import kHighsInf

        problem, solver = self.problem, new_solver()
        is_abandoned = abandonment.is_abandoned()

        def asked(event: Any) -> None:
            event.interrupt(is_abandoned())

        solver.cbSimplexInterrupt.subscribe(asked)
        none, empty = np.array([], dtype=np.int32), np.array([])
        for i in self.whole:
            solver.addRow(1.0 if problem.is_required[i] else -kHighsInf, 1.0, 0, none, empty)
        weeks = np.sum(list(self.slots.values()), axis=0)
        for room in np.cumsum(weeks[::-1])[::-1]:
            solver.addRow(-kHighsInf, float(room), 0, none, empty)
        solver.addRow(float(problem.n_overdue_wanted), kHighsInf, 0, none, empty)
        for length in self.lengths[:-1]:
            room = sum(int(n.sum()) for hours, n in self.slots.items() if hours > length)
            solver.addRow(-kHighsInf, float(room), 0, none, empty)
        is_alike = len(self.lengths) == 1
        for i in map(int, self.cut) if not is_alike else ():
            solver.addRow(1.0 if problem.is_required[i] else -kHighsInf, 1.0, 0, none, empty)
        first_cut = solver.getNumRow() - len(self.cut)
        # In the longest weeks first: those are the columns of the rounding.
        for length in self.lengths[::-1]:
            for at, i in enumerate(map(int, self.cut)):
                way = 2.0 * self.candidates.way_hours[i]
                share = float(self.candidates.hours[i] / max(length - way, 1.0))
                weeks_of = [*self._week_rows(i), *self._longer_rows(length)]
                whole = [*self._quota_row(i), *([] if is_alike else [first_cut + at])]
                all_rows = np.array([*weeks_of, *whole], np.int32)
                values = [share] * len(weeks_of) + [1.0] * len(whole)
                least = 1.0 if is_alike and problem.is_required[i] else 0.0
                solver.addCol(-float(problem.gain[i]), least, 1.0, len(values), all_rows, values)
        # What is required may be left out at a price above everything, so that there is a solution.
        above = float(problem.gain.sum()) + 1.0
        kept = np.flatnonzero(problem.is_required[self.whole])
        for row in map(int, kept):
            rows = [row, *self._quota_row(int(self.whole[row]))]
            solver.addCol(above, 0.0, 1.0, len(rows), np.array(rows, np.int32), [1.0] * len(rows))
        if problem.n_overdue_wanted:
            quota = np.array([self.n + len(self.starts)], np.int32)
            solver.addCol(above, 0.0, kHighsInf, 1, quota, [1.0])
        self.first_set = solver.getNumCol()
        for row in map(int, kept):
            need = float(self.visits.hours[row] + 2.0 * self.visits.way_hours[row])
            self._add_set(solver, (row,), int(self.visits.first_week[row]), need=need)
        return solver

    def _week_rows(self, candidate: int) -> list[int]:
        start = int(np.searchsorted(self.starts, self.problem.first_week[candidate]))
        return list(range(self.n, self.n + start + 1))

    def _longer_rows(self, hours: float) -> list[int]:
        """Return the rows of the lengths that do not hold so many hours."""
        first = self.n + len(self.starts) + 1
        return list(range(first, first + self._shortest_for(hours)))

    def _shortest_for(self, hours: float) -> int:
        """Return the place of the shortest length that holds so many hours."""
        at = int(np.searchsorted(self.lengths, hours - _TINY))
        return min(at, len(self.lengths) - 1)

    def _quota_row(self, candidate: int) -> list[int]:
        is_counted = bool(self.problem.is_overdue[candidate])
        return [self.n + len(self.starts)] if is_counted else []

    def _add_set(
        self,
        solver: highspy.Highs,
        members: tuple[int, ...],
        start: int,
        *,
        need: float = 0.0,
        beside: tuple[int, int] | None = None,
    ) -> None:
        from highspy import kHighsInf

        at = self.whole[list(members)]
        rows = [*members, *range(self.n, self.n + start + 1), *self._longer_rows(need)]
        rows += [] if beside is None else [beside[1]]
        values = [1.0] * len(rows)
        n_overdue = int(self.problem.is_overdue[at].sum())
        if n_overdue:
            rows.append(self.n + len(self.starts))
            values.append(float(n_overdue))
        gain = float(self.problem.gain[at].sum())
        solver.addCol(-gain, 0.0, kHighsInf, len(rows), np.array(rows, np.int32), values)
        self.sets.append(members if beside is None else (*members, -1 - beside[0]))
        self.known.add(members)
        self.needs.append(need)

    def _add(self, listed: list[Sets], prices: Prices, *, most: int) -> int:
        """Add the sets worth most beyond their prices, each visit in no more than some of them."""
        n_each = np.zeros(self.n, dtype=np.int64)
        over = [
            sets.worth
            - prices.week[sets.first_week]
            - prices.longer[[self._shortest_for(need) for need in sets.need]]
            for sets in listed
        ]
        where = [(k, i) for k, sets in enumerate(listed) for i in range(len(sets.worth))]
        if not where:
            return 0
        n_added = 0
        for at in np.argsort(-np.concatenate(over), kind="stable"):
            k, i = where[at]
            row = listed[k].members[i]
            members = tuple(row.tolist())
            if members in self.known or (n_each[row] >= max(most // 75, 1)).all():
                continue
            n_each[row] += 1
            start, need = int(listed[k].first_week[i]), float(listed[k].need[i])
            self._add_set(self.solver, members, start, need=need)
            n_added += 1
            if n_added >= most:
                break
        return n_added

    def _first_listed(self, prices: Prices) -> list[list[Sets]]:
        """Return the sets to begin with, by length."""
        worth = self._worth(prices)
        best = most_worth(self.visits, worth, self.hours)
        return [
            self._near(prices.of(at), worth, best, hours) for at, hours in enumerate(self.lengths)
        ]

    def _near(self, price: Floats, worth: Floats, best: Floats, hours: float) -> list[Sets]:
        """Return sets worth nearly the price of a week, as near as there are not too many."""
        for share in _FIRST_PRICES:
            try:
                return worth_more(self.visits, worth, share * price, hours=hours, best=best)
            except TooManySetsError:
                continue
        raise TooManySetsError

    def _worth(self, prices: Prices) -> Floats:
        """Return what each visit that is not cut is worth beyond its price."""
        counted = np.where(self.problem.is_overdue[self.whole], prices.overdue, 0.0)
        worth: Floats = self.problem.gain[self.whole] + counted - prices.visit
        return worth

    def _solved(self) -> tuple[Prices, float]:
        """Solve the program; return its prices and its value."""
        self._run()
        dual = np.asarray(self.solver.getSolution().row_dual)
        visit = -dual[: self.n]
        is_free = self.problem.is_required[self.whole]
        quota = self.n + len(self.starts)
        week = np.maximum(-dual[self.n : quota], 0.0)
        longer = np.maximum(-dual[quota + 1 : quota + len(self.lengths)], 0.0)
        prices = Prices(
            np.where(is_free, visit, np.maximum(visit, 0.0)),
            np.cumsum(week),
            max(float(dual[quota]), 0.0) if self.problem.n_overdue_wanted else 0.0,
            np.append(0.0, np.cumsum(longer)),
        )
        return prices, -float(self.solver.getInfo().objective_function_value)

    def _run(self) -> None:
        """Solve as the program now stands, unless nobody waits for it any more."""
        abandonment.check()
        self.solver.run()
        abandonment.check()

    def _priced(self, prices: Prices, last: Prices) -> tuple[Prices, float, list[list[Sets]]]:
        """Return bound and sets at these prices, or nearer to the last where sets are too many."""
        for _ in range(_HALVINGS):
            try:
                return prices, *self._bound(prices)
            except TooManySetsError:
                prices = prices.between(last)
        raise TooManySetsError

    def _bound(self, prices: Prices) -> tuple[float, list[list[Sets]]]:
        """Return the bound that these prices prove, and sets above them by length."""
        worth, listed = self._worth(prices), list[list[Sets]]()
        best = most_worth(self.visits, worth, self.hours)
        total = float(prices.visit.sum()) - prices.overdue * self.problem.n_overdue_wanted
        held: dict[float, float] = {}
        for at, hours in enumerate(self.lengths.tolist()):
            price = prices.of(at) * (1.0 + 1e-9)  # above rounding
            found = worth_more(self.visits, worth, price, hours=hours, best=best)
            most = price.copy()
            for sets in found:
                np.maximum.at(most, sets.first_week, sets.worth)
            most = np.maximum.accumulate(most)
            held[hours] = float(most[0])
            total += float(most @ self.slots[hours])
            listed.append(found)
        beside = Beside(self.visits, worth, best, held)
        of_cut = partial(
            most_of_cut, self.problem, self.candidates, self.request, beside, prices.overdue
        )
        self.judged = Judged(total, of_cut)
        return total + of_cut(), listed

    def rounded(self) -> tuple[tuple[int, ...], ...]:
        """Return sets that go together, by taking the likely ones first.

        One with a visit in parts is what goes into a week with one of the parts.
        """
        solver = self.solver
        for column, candidate in enumerate(map(int, self.cut)):
            for row in [*self._week_rows(candidate), *self._longer_rows(self.hours)]:
                solver.changeCoeff(row, column, float(self.problem.n_parts[candidate]))
        for column in range(len(self.cut), len(self.cut) * len(self.lengths)):
            solver.changeColBounds(column, 0.0, 0.0)
        self._in_whole_seconds()
        self._add_beside()
        self._run()
        share = np.asarray(solver.getSolution().col_value)
        is_in = self.problem.is_required[self.cut] | (share[: len(self.cut)] >= _LIKELY)
        for column, value in enumerate(is_in.astype(np.float64)):
            solver.changeColBounds(column, value, value)
        is_taken = np.zeros(len(self.sets), dtype=bool)
        self._run()
        while True:
            share = np.asarray(solver.getSolution().col_value)[self.first_set :]
            is_open = (share > 1e-6) & ~is_taken
            if not is_open.any() or solver.getModelStatus().name != "kOptimal":
                break
            likely = np.flatnonzero(is_open & (share >= _LIKELY))
            if not len(likely):
                likely = np.array([int(np.argmax(np.where(is_open, share, 0.0)))])
            is_taken[likely] = True
            for at in likely:
                solver.changeColBounds(self.first_set + int(at), 1.0, 1.0)
            self._run()
        taken = [self._candidates_of(self.sets[column]) for column in np.flatnonzero(is_taken)]
        with_part = {i for members in taken for i in members}
        return *taken, *((int(i),) for i in self.cut[is_in] if int(i) not in with_part)

    def _in_whole_seconds(self) -> None:
        """Let no set into a week that does not hold it as the router counts, in whole seconds."""
        for at, (need, members) in enumerate(zip(self.needs, self.sets, strict=True)):
            rounded = need + _SECOND * 2 * (len(members) + 1)
            for row in self._longer_rows(rounded + _TINY)[len(self._longer_rows(need)) :]:
                self.solver.changeCoeff(row, self.first_set + at, 1.0)
            if rounded > self.hours:
                self.solver.changeColBounds(self.first_set + at, 0.0, 0.0)

    def _candidates_of(self, members: tuple[int, ...]) -> tuple[int, ...]:
        """Return the candidates of a set; one below zero stands for a visit in parts."""
        return tuple(int(self.whole[m] if m >= 0 else self.cut[-1 - m]) for m in members)

    def _add_beside(self) -> None:
        """Add what fits into a week beside a part, cut evenly, of the visits that seem worth it."""
        from highspy import kHighsInf

        share = np.asarray(self.solver.getSolution().col_value)[: len(self.cut)]
        likely = np.flatnonzero(self.problem.is_required[self.cut] | (share > _MAYBE))
        worth = self._worth(self.prices)
        for column in likely[np.argsort(-share[likely], kind="stable")][:_MOST_BESIDE]:
            i = int(self.cut[column])
            n_parts = int(self.problem.n_parts[i])
            row = self.solver.getNumRow()
            cells_of = np.array([column], np.int32)
            self.solver.addRow(-kHighsInf, 0.0, 1, cells_of, np.array([-float(n_parts)]))
            for members in self._beside(i, worth, hours=float(self.candidates.hours[i]) / n_parts):
                self._add_set(self.solver, members, -1, beside=(int(column), row))

    def _beside(self, candidate: int, worth: Floats, *, hours: float) -> list[tuple[int, ...]]:
        """Return the sets worth most that fit into a week beside so many hours of a part."""
        c, start = self.candidates, int(self._week_rows(candidate)[-1]) - self.n
        place = drive_hours(straight_places(c.latitude[[candidate]], c.longitude[[candidate]]))
        both = self.visits.with_one(hours, float(c.way_hours[candidate]), start, place)
        left = self.hours - hours
        own = max(left - 2.0 * float(c.way_hours[candidate]), 0.0)
        best = most_worth(self.visits, worth, left)
        price = self.prices.of(-1) * (_BESIDE * own / self.hours) + _TINY
        try:
            listed = worth_more(self.visits, worth, price, hours=left, best=best)
        except TooManySetsError:
            return []
        found: list[tuple[float, tuple[int, ...]]] = []
        for sets in listed:
            if sets.members.shape[1] > _MOST_IN_ORDER:
                continue
            all_of = np.column_stack([sets.members, np.full(len(sets.members), self.n)])
            need = both.shortest_drive(all_of) + both.hours[all_of].sum(axis=1)
            room = self.hours - _SECOND * 2 * all_of.shape[1]
            fits = (need <= room) & (sets.first_week <= start)
            found += [(-float(sets.worth[k]), tuple(sets.members[k].tolist()))
                      for k in np.flatnonzero(fits)]  # fmt: skip
        return [members for _, members in sorted(found)[:_MORE_COLUMNS]]
