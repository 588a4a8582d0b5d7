"""Sets of required visits that one week can hold, and the most worth of others beside them.

Driving inside a set is at least the shortest round trip over straight lines through the earth, as
in `tour_sets`; of more visits than are tried in every order, that of those which came first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from features import abandonment
from features.arrays import Floats, Ints
from serving.planning.solving.tour_sets import TooManySetsError, Visits, cells, most_worth

_MOST_SETS: Final = 3_000  # of required visits
_MOST_ORDERED: Final = 5  # visits whose shortest round trip is found over all orders
_AT_ONCE: Final = 50  # sets of required visits that are gone on with together
_MOST_PAIRS: Final = 4_000_000  # of those, with what is beside them, and visits that may go, too
_BLOCK: Final = 2_000_000
_TINY: Final = 1e-9


@dataclass(frozen=True)
class Bases:
    """Weeks before anything that is not required goes into them; all with as many visits.

    Parameters
    ----------
    members : array of int, shape (m, size)
        Rows of all visits; a part is the last.
    need : array, shape (m,)
        The least hours that they take.
    drive : array, shape (m,)
        Of which at the wheel.
    first_week : array of int, shape (m,)
    """

    members: Ints
    need: Floats
    drive: Floats
    first_week: Ints

    def __len__(self) -> int:
        return len(self.need)

    def one(self, at: int) -> Bases:
        """Return one of them."""
        only = slice(at, at + 1)
        return Bases(self.members[only], self.need[only], self.drive[only], self.first_week[only])


class RequiredSets:
    """What is required in a week, and what goes beside it.

    Parameters
    ----------
    visits : Visits
        Those that are not in parts.
    worth : array, shape (n,)
        What each is worth beside what is required; not above zero where it does not count.
    required : array of int
        Which of them are required.
    cut : Visits
        Those in parts, with no hours on site.
    longest : float
        Hours of the longest week.
    n_starts : int
    """

    def __init__(
        self,
        visits: Visits,
        worth: Floats,
        *,
        required: Ints,
        cut: Visits,
        longest: float,
        n_starts: int,
    ) -> None:
        self.visits, self.worth, self.required = visits, worth, required
        self.longest, self.n_starts = longest, n_starts
        self.all = Visits(
            np.append(visits.candidate, cut.candidate),
            np.append(visits.hours, cut.hours),
            np.append(visits.way_hours, cut.way_hours),
            np.append(visits.first_week, cut.first_week),
            np.vstack([visits.place, cut.place]),
        )
        self.best: dict[float, Floats] = {}

    def listed(self) -> Iterator[Bases]:
        """Yield the sets of required visits that the longest week can hold, by size."""
        none = np.zeros((1, 0), dtype=np.int64)
        yield Bases(none, np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64))
        size, week = self.all.hours, self.all.first_week
        level = Bases(none, np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64))
        n_listed = 0
        while len(level):
            last = level.members[:, -1] if level.members.shape[1] else np.full(len(level), -1)
            p, q = np.nonzero(self.required[None, :] > last[:, None])
            visit = self.required[q]
            members = np.column_stack([level.members[p], visit])
            drive = self._drive(members, level.drive[p])
            need = (level.need - level.drive)[p] + size[visit] + drive
            fits = need <= self.longest + _TINY
            first = np.maximum(level.first_week[p], week[visit])
            level = Bases(members[fits], need[fits], drive[fits], first[fits])
            n_listed += len(level)
            if n_listed > _MOST_SETS:
                raise TooManySetsError
            if len(level):
                yield level

    def _drive(self, members: Ints, without: Floats) -> Floats:
        """Return the least hours at the wheel; of many visits, those without the last."""
        return self.all.shortest_drive(members) if members.shape[1] <= _MOST_ORDERED else without

    def _best(self, hours: float) -> Floats:
        if hours not in self.best:
            self.best[hours] = most_worth(self.visits, self.worth, hours)
        return self.best[hours]

    def with_part(self, base: Bases, at: int, on_site: float) -> Bases:
        """Return the same weeks with a part in them, those that the longest week can hold."""
        row = len(self.visits.hours) + at
        members = np.column_stack([base.members, np.full(len(base), row)])
        drive = self._drive(members, base.drive)
        need = base.need - base.drive + on_site + drive
        fits = need <= self.longest + _TINY
        first = np.maximum(base.first_week, self.all.first_week[row])
        return Bases(members[fits], need[fits], drive[fits], first[fits])

    def beside(
        self,
        base: Bases,
        hours: float,
        *,
        sets: dict[int, tuple[int, ...]] | None = None,
    ) -> Floats:
        """Return the most worth of others that fits beside each set, by start.

        Below zero without end where the set does not fit or is not lawful yet. `sets` is told the
        members of the best.
        """
        fits = base.need <= hours + _TINY
        lawful = base.first_week[:, None] <= np.arange(self.n_starts)[None, :]
        found = np.where(fits[:, None] & lawful, 0.0, -np.inf)
        for first_root in range(0, len(base), _AT_ONCE):
            root = np.flatnonzero(fits[first_root : first_root + _AT_ONCE]) + first_root
            found = self._filled(base, root, hours, found, sets)
        return found

    def _filled(
        self,
        base: Bases,
        root: Ints,
        hours: float,
        found: Floats,
        sets: dict[int, tuple[int, ...]] | None,
    ) -> Floats:
        """Go on with some of the sets until nothing more beside them is worth more than found."""
        best, week = self._best(hours), self.visits.first_week
        members, last = base.members[root], np.full(len(root), -1)
        need, drive, first = base.need[root], base.drive[root], base.first_week[root]
        worth = np.zeros(len(root))
        usable = np.flatnonzero(self.worth > 0)
        while len(root):
            abandonment.check()
            if len(root) * len(usable) > _MOST_PAIRS:  # the most that may go there stands
                limit = worth + best[last + 1, cells(np.maximum(hours - need, 0.0))]
                np.maximum.at(found, (root, first), limit)
                return np.maximum.accumulate(found, axis=1)
            p, visit = self._next(root, last, need, first, worth, usable, hours, found)
            members = np.column_stack([members[p], visit])
            driven = self._drive(members, drive[p])
            need = need[p] - drive[p] + self.visits.hours[visit] + driven
            root, last, drive, worth = root[p], visit, driven, worth[p] + self.worth[visit]
            first = np.maximum(first[p], week[visit])
            is_in = need <= hours + _TINY
            for at in np.flatnonzero(is_in & (worth > found[root, -1])) if sets is not None else ():
                if sets is not None and worth[at] > found[root[at], -1]:
                    found[root[at], -1] = worth[at]
                    sets[int(root[at])] = tuple(members[at].tolist())
            np.maximum.at(found, (root[is_in], first[is_in]), worth[is_in])
            found = np.maximum.accumulate(found, axis=1)
            limit = worth + best[last + 1, cells(np.maximum(hours - need, 0.0))]
            kept = is_in & (limit > found[root, first] + _TINY)
            root, members, last, need = root[kept], members[kept], last[kept], need[kept]
            drive, first, worth = drive[kept], first[kept], worth[kept]
        return found

    def _next(
        self,
        root: Ints,
        last: Ints,
        need: Floats,
        first: Ints,
        worth: Floats,
        usable: Ints,
        hours: float,
        found: Floats,
    ) -> tuple[Ints, Ints]:
        """Return which set goes on with which visit, as far as hours without more driving say."""
        best, week = self._best(hours), self.visits.first_week
        sets, nexts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        step = max(1, _BLOCK // max(len(usable), 1))
        for start in range(0, len(root), step):
            part = slice(start, start + step)
            left = (hours - need[part])[:, None] - self.visits.hours[usable][None, :]
            p, q = np.nonzero((usable[None, :] > last[part, None]) & (left >= -_TINY))
            visit, own = usable[q], p + start
            limit = worth[own] + self.worth[visit]
            limit = limit + best[visit + 1, cells(np.maximum(left[p, q], 0.0))]
            kept = limit > found[root[own], np.maximum(first[own], week[visit])] + _TINY
            sets.append(own[kept])
            nexts.append(visit[kept])
        return np.concatenate(sets), np.concatenate(nexts)
