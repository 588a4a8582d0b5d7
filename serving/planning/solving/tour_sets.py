"""Which visits one investigator's week can hold, and which of them together are worth a price.

A week holds few visits, so every set of them that is worth more than the week's price can be
listed: those farthest from the office first, cut off where even what fits best into the hours that
are left does not reach the price. Driving inside a set is at least the shortest round trip over
straight lines through the earth, which no road beats.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from features import abandonment
from features.arrays import Flags, Floats, Ints
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.travel import drive_hours, straight_places

GRID: Final = 0.25  # hours; what is left of a week is rounded up to it, a visit down
_MOST_SETS: Final = 300_000  # of one size; where there are more, nothing is listed
_MOST_ORDERED: Final = 5  # visits whose shortest round trip is found over all orders
_MOST_PAIRS: Final = 15_000_000  # sets of one size times visits that may go with them
_BLOCK: Final = 2_000_000


class TooManySetsError(Exception):
    """There are more sets worth their price than can be listed."""


@dataclass(frozen=True)
class Visits:
    """The visits that fit into one week, the farthest from the office first.

    Parameters
    ----------
    candidate : array of int, shape (n,)
        Index into the candidates.
    hours, way_hours : array, shape (n,)
        Hours on site and, one way, at the wheel.
    first_week : array of int, shape (n,)
        Place of the first lawful week among those in which anything becomes lawful.
    place : array, shape (n, 3)
        Hours at the wheel along three axes, as if one could drive straight.
    """

    candidate: Ints
    hours: Floats
    way_hours: Floats
    first_week: Ints
    place: Floats

    def between(self, a: Ints, b: Ints) -> Floats:
        """Return the least hours at the wheel between two visits of each pair."""
        apart: Floats = np.sqrt(((self.place[a] - self.place[b]) ** 2).sum(axis=-1))
        return apart

    def with_one(self, hours: float, way_hours: float, first_week: int, place: Floats) -> Visits:
        """Return these and one more, last."""
        return Visits(
            np.append(self.candidate, -1),
            np.append(self.hours, hours),
            np.append(self.way_hours, way_hours),
            np.append(self.first_week, first_week),
            np.vstack([self.place, place]),
        )

    def shortest_drive(self, sets: Ints) -> Floats:
        """Return the least hours at the wheel of each set, shape (m,); all of one size."""
        size = sets.shape[1]
        pairs = {
            (a, b): self.between(sets[:, a], sets[:, b])
            for a, b in itertools.combinations(range(size), 2)
        }
        out = np.full(len(sets), np.inf)
        for order in itertools.permutations(range(size)):
            if order[0] > order[-1]:
                continue
            drive = self.way_hours[sets[:, order[0]]] + self.way_hours[sets[:, order[-1]]]
            for a, b in itertools.pairwise(order):
                drive = drive + pairs[min(a, b), max(a, b)]
            np.minimum(out, drive, out=out)
        return out


@dataclass(frozen=True)
class Sets:
    """Sets of one size.

    Parameters
    ----------
    members : array of int, shape (m, size)
        Rows of `Visits`.
    worth, need : array, shape (m,)
        What the visits of each set are worth, and the least hours that they take.
    first_week : array of int, shape (m,)
    """

    members: Ints
    worth: Floats
    need: Floats
    first_week: Ints


def week_visits(candidates: Candidates, is_whole: Flags, *, starts: Ints) -> Visits:
    """Return the visits that are not cut, the farthest first."""
    whole = np.flatnonzero(is_whole)
    order = whole[np.argsort(-candidates.way_hours[whole], kind="stable")]
    km = straight_places(candidates.latitude[order], candidates.longitude[order])
    return Visits(
        candidate=order,
        hours=candidates.hours[order],
        way_hours=candidates.way_hours[order],
        first_week=np.searchsorted(starts, candidates.first_week[order]),
        place=drive_hours(km),
    )


def weeks_by_length(request: PlanRequest, starts: Ints) -> dict[float, Ints]:
    """Return how many investigators' weeks there are of each length and from each start on."""
    out: dict[float, Ints] = {}
    for week in range(request.weeks):
        start = int(np.searchsorted(starts, week, side="right")) - 1
        for person in range(request.n_investigators):
            hours = request.hours_in(week, person)
            if hours > 0:
                out.setdefault(hours, np.zeros(len(starts), dtype=np.int64))[start] += 1
    return out


def cells(hours: npt.ArrayLike) -> Ints:
    """Return how many whole steps of the grid the hours hold, rounded so that none is lost."""
    return np.floor(np.asarray(hours) / GRID + 1e-6).astype(np.int64)


def most_worth(visits: Visits, worth: Floats, hours: float) -> Floats:
    """Return the most that fits, without driving, shape (n + 1, steps + 1).

    Row ``k`` is of the visits from ``k`` on, column ``c`` of ``c`` steps of the grid.
    """
    n_cells = int(cells(hours))
    size = np.floor(visits.hours / GRID).astype(np.int64)
    best = np.zeros((len(worth) + 1, n_cells + 1))
    for k in range(len(worth) - 1, -1, -1):
        best[k] = best[k + 1]
        s = int(size[k])
        if worth[k] > 0 and s <= n_cells:
            np.maximum(best[k, s:], best[k + 1, : n_cells + 1 - s] + worth[k], out=best[k, s:])
    return best


def worth_more(
    visits: Visits, worth: Floats, price: Floats, *, hours: float, best: Floats
) -> list[Sets]:
    """Return every set worth more than the price of a week from its first lawful one on.

    Parameters
    ----------
    worth : array, shape (n,)
    price : array, shape (number of starts,), not decreasing
    hours : float
        Hours of the week.
    best : array
        What `most_worth` returned for these.

    Raises
    ------
    TooManySetsError
        When there are too many to list.
    """
    size, way, week = visits.hours, visits.way_hours, visits.first_week
    left = hours - 2.0 * way - size
    fits = (left >= 0) & (worth > 0)
    room = cells(np.maximum(left, 0.0))
    after = np.arange(len(worth)) + 1
    usable = np.flatnonzero(fits & (worth + best[0, room] > price[week]))
    roots = np.flatnonzero(fits & (worth + best[after, room] > price[week]))
    level = Sets(roots[:, None], worth[roots], (hours - left)[roots], week[roots])
    on_site = size[roots]
    out = []
    while len(level.members):
        abandonment.check()
        is_worth = level.worth > price[level.first_week]
        out.append(_taken(level, is_worth))
        p, q = _longer(level, usable, visits, worth, price, hours=hours, best=best)
        members = np.concatenate([level.members[p], q[:, None]], axis=1)
        if members.shape[1] <= _MOST_ORDERED:
            drive = visits.shortest_drive(members)
        else:  # at least as far as without the visit that came last
            drive = level.need[p] - on_site[p]
        on_site = on_site[p] + size[q]
        more = Sets(
            members, level.worth[p] + worth[q], on_site + drive,
            np.maximum(level.first_week[p], week[q]),
        )  # fmt: skip
        left = hours - more.need
        limit = more.worth + best[members[:, -1] + 1, cells(np.maximum(left, 0.0))]
        is_kept = (left >= -1e-9) & (limit > price[more.first_week])
        level, on_site = _taken(more, is_kept), on_site[is_kept]
    return [sets for sets in out if len(sets.members)]


def _longer(
    level: Sets,
    usable: Ints,
    visits: Visits,
    worth: Floats,
    price: Floats,
    *,
    hours: float,
    best: Floats,
) -> tuple[Ints, Ints]:
    """Return which set goes on with which visit, as far as hours without more driving say."""
    if len(level.members) * len(usable) > _MOST_PAIRS:
        raise TooManySetsError
    sets, nexts, n_found = [], [], 0
    step = max(1, _BLOCK // max(len(usable), 1))
    for start in range(0, len(level.members), step):
        abandonment.check()
        part = slice(start, start + step)
        left = (hours - level.need[part])[:, None] - visits.hours[usable][None, :]
        is_next = (usable[None, :] > level.members[part, -1:]) & (left >= 0)
        p, q = np.nonzero(is_next)
        visit = usable[q]
        limit = level.worth[part][p] + worth[visit] + best[visit + 1, cells(left[p, q])]
        is_kept = limit > price[level.first_week[part][p]]
        sets.append(p[is_kept] + start)
        nexts.append(visit[is_kept])
        n_found += int(is_kept.sum())
        if n_found > _MOST_SETS:
            raise TooManySetsError
    return np.concatenate(sets), np.concatenate(nexts)


def _taken(sets: Sets, flags: Flags) -> Sets:
    return Sets(sets.members[flags], sets.worth[flags], sets.need[flags], sets.first_week[flags])
