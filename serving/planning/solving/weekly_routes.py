"""The itinerary: which investigator drives to whom in which week, and in what order.

PyVRP solves it as one prize-collecting problem: an investigator's week is a vehicle that starts and
ends at the office, a visit is a client with its hours, a lawful first week and a prize. What does
not fit stays out, cheapest first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features import abandonment
from features.arrays import Flags, Floats, Ints
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest, policy
from serving.planning.solving.route_start import begin_with
from serving.planning.solving.selection import ROUNDING, n_parts
from serving.planning.travel import drive_hours, km_matrix

if TYPE_CHECKING:
    from pyvrp import ProblemData, Solution

_SECONDS = 3600
_REQUIRED_PRIZE = 10**6
_SECOND_PRIZE = 10**5  # required as well, where recalls are let in before all else
_LEAST_PART = 4.0  # hours on site: nobody drives there for less
MORE_PARTS = 2  # where weeks are shortened, a visit is cut once or twice more
_EPSILON = 1e-9
_YIELD_PRIZE = 20_000  # of the best visit; a kilometer costs 1, so driving only breaks near ties


@dataclass(frozen=True)
class Stop:
    """One part of a visit in one investigator's week.

    Parameters
    ----------
    candidate : int
        Index into the candidates.
    part, n_parts : int
        A visit longer than one investigator's week is done in parts, by several investigators or
        in consecutive weeks.
    hours : float
        Hours on site in this part.
    """

    candidate: int
    part: int
    n_parts: int
    hours: float


@dataclass(frozen=True)
class Tour:
    """One investigator's week: out from the office, the stops in order, and back.

    Parameters
    ----------
    week, investigator : int
        Counted from 0; investigators are interchangeable.
    stops : tuple of Stop
    km : float
        Road kilometers, the way back included.
    """

    week: int
    investigator: int
    stops: tuple[Stop, ...]
    km: float

    @property
    def drive_hours(self) -> float:
        """Hours at the wheel."""
        return drive_hours(self.km)

    @property
    def hours(self) -> float:
        """Hours on site and at the wheel."""
        return sum(stop.hours for stop in self.stops) + self.drive_hours


@dataclass(frozen=True)
class Places:
    """Road kilometers among the office (row 0) and some candidates.

    Parameters
    ----------
    candidate : array of int, shape (m,)
        Index into the candidates of rows 1 to m.
    km : array, shape (m + 1, m + 1)
    """

    candidate: Ints
    km: Floats

    def tour_km(self, candidates: list[int]) -> float:
        """Return the length of the round trip through some candidates in that order."""
        if not candidates:
            return 0.0
        row = {int(index): i + 1 for i, index in enumerate(self.candidate)}
        way = [0, *(row[index] for index in candidates), 0]
        return float(self.km[way[:-1], way[1:]].sum())


def places(candidates: Candidates, request: PlanRequest, *, members: Ints) -> Places:
    """Measure the ways among the office and some candidates."""
    latitude = np.append(request.latitude, candidates.latitude[members])
    longitude = np.append(request.longitude, candidates.longitude[members])
    return Places(members, km_matrix(latitude, longitude))


def route(
    candidates: Candidates,
    request: PlanRequest,
    *,
    pool: Ints,
    is_required: Flags,
    begin: Sequence[tuple[int, ...]] = (),
    is_uneven: Flags | None = None,
) -> tuple[Tour, ...]:
    """Return the tours that collect the most yield from the pool, required visits first.

    Parameters
    ----------
    pool : array of int
        Candidates the router may visit.
    is_required : array of bool, shape (n,)
        Visits that are worth more than all others together.
    begin : sequence of tuple of int
        Candidates that go well together into a week each: where the router begins.
    is_uneven : array of bool, shape (n,), optional
        Visits in parts that are cut unevenly at once; none by default.

    Returns
    -------
    tuple of Tour
        A visit in parts is cut evenly, and unevenly where an even cut leaves a required visit out.
        What finds no place in any way is not in the pool of the last, so that its hours are used.
    """
    is_cut = n_parts(candidates, request) > 1
    at_once = np.zeros(len(candidates), dtype=bool) if is_uneven is None else is_uneven
    tours: tuple[Tour, ...] = ()
    missed = [int(i) for i in np.flatnonzero(is_required)]
    for wanted, is_even in _ways_to_cut(candidates, is_required=is_required):
        worth = np.where(wanted, _REQUIRED_PRIZE, np.where(is_required, _SECOND_PRIZE, 0))
        evenly = np.full(len(candidates), is_even) & ~at_once
        again = _routed(candidates, request, pool=pool, worth=worth, is_even=evenly, begin=begin)
        out = _missed(candidates, again, is_required)
        if not tours or _weight(candidates, out) < _weight(candidates, missed):
            tours, missed = again, out
        if not missed or not (is_required & is_cut)[pool].any():
            return tours
    rest = np.setdiff1d(pool, [i for i in missed if is_cut[i]])
    worth = np.where(is_required, _REQUIRED_PRIZE, 0)
    without = _routed(candidates, request, pool=rest, worth=worth, is_even=~at_once)
    out = _missed(candidates, without, is_required)
    return without if _weight(candidates, out) <= _weight(candidates, missed) else tours


def _ways_to_cut(candidates: Candidates, *, is_required: Flags) -> list[tuple[Flags, bool]]:
    """Return what the router must bring in and whether it cuts evenly, in the order to try."""
    recalls = is_required & candidates.is_recall_due
    ways = [(is_required, True), (is_required, False)]
    return ways if (recalls == is_required).all() else [*ways, (recalls, True), (recalls, False)]


def _missed(candidates: Candidates, tours: tuple[Tour, ...], is_required: Flags) -> list[int]:
    visited = {stop.candidate for tour in tours for stop in tour.stops}
    return [int(i) for i in np.flatnonzero(is_required) if int(i) not in visited]


def _weight(candidates: Candidates, missed: list[int]) -> tuple[int, int]:
    """How bad it is to leave these out: recalls due first, then all that is required."""
    return int(candidates.is_recall_due[missed].sum()), len(missed)


def _routed(
    candidates: Candidates,
    request: PlanRequest,
    *,
    pool: Ints,
    worth: Ints,
    is_even: Flags,
    begin: Sequence[tuple[int, ...]] = (),
) -> tuple[Tour, ...]:
    """Return the tours of one try.

    `worth` is the prize of each candidate beside its yield, `is_even` whether it is cut alike.
    """
    if not len(pool):
        return ()
    ways = places(candidates, request, members=pool)
    parts = _parts(candidates, request, pool=pool, worth=worth, is_even=is_even)
    if not parts:
        return ()
    slots = slots_of(request)
    if not slots:
        return ()
    from pyvrp import solve as run_router  # slow to import
    from pyvrp.stop import MaxIterations, MultipleCriteria

    data = _problem(candidates, request, parts=parts, ways=ways, worth=worth, slots=slots)
    first = None
    if begin:
        first = begin_with(data, slots, parts=parts, sets=begin)
    n_iterations = int(
        policy()["router_iterations" if first is None else "router_iterations_begun"]
    )
    stop = MultipleCriteria([MaxIterations(n_iterations), _Abandoned()])
    best = run_router(
        data, stop, seed=request.seed, collect_stats=False, display=False, initial_solution=first
    ).best
    return _read(best, parts=parts, ways=ways, slots=slots)


class _Abandoned:
    """Ends the router, as a criterion of its stopping, when nobody waits for its tours."""

    def __call__(self, best_cost: float) -> bool:
        abandonment.check()
        return False


@dataclass(frozen=True)
class Slot:
    """Investigators of one week with the same hours: one type of vehicle."""

    week: int
    investigators: tuple[int, ...]
    hours: float


def slots_of(request: PlanRequest) -> list[Slot]:
    """Return the weeks' investigators by their hours, those with a whole week first."""
    out = []
    for week in range(request.weeks):
        by_hours: dict[float, list[int]] = {}
        for person in range(request.n_investigators):
            by_hours.setdefault(request.hours_in(week, person), []).append(person)
        out += [Slot(week, tuple(by_hours[h]), h) for h in sorted(by_hours, reverse=True) if h > 0]
    return out


@dataclass(frozen=True)
class Part:
    """One visit, or one part of it, and the weeks it may go to."""

    stop: Stop
    first_week: int
    last_week: int
    location: int


def _parts(
    candidates: Candidates, request: PlanRequest, *, pool: Ints, worth: Ints, is_even: Flags
) -> list[Part]:
    """Split long visits, and give their parts weeks now, so that they stay together.

    Parts are placed first, by worth, in the earliest weeks that have room; what finds none stays
    out. No two of them share an investigator's week.
    """
    parts_of, people = n_parts(candidates, request), range(request.n_investigators)
    free = [sorted(request.hours_in(w, i) for i in people) for w in range(request.weeks)]
    longest = request.longest_from()
    order = candidates.expected_yield + worth
    out: list[Part] = []
    row = {int(index): i + 1 for i, index in enumerate(pool)}
    for index in sorted(map(int, pool), key=lambda i: (-order[i], i)):
        n, hours = int(parts_of[index]), float(candidates.hours[index])
        first = int(candidates.first_week[index])
        if n == 1:
            stop = Stop(index, 0, 1, hours)
            out.append(Part(stop, first, request.weeks - 1, row[index]))
            continue
        drive = 2.0 * float(candidates.way_hours[index]) + ROUNDING
        most = float(longest[first]) - drive
        for n_tried in range(n, n + MORE_PARTS + 1):
            piece, rest = cut_in_parts(hours, n_tried, most=most, is_even=bool(is_even[index]))
            cut = [*[float(piece)] * (n_tried - 1), float(rest)]
            weeks = _consecutive(free, first, [piece + drive for piece in cut])
            if weeks:
                break
        for part, week in enumerate(weeks):
            free[week].pop(_fitting(free[week], cut[part] + drive))
            out.append(Part(Stop(index, part, len(cut), cut[part]), week, week, row[index]))
    return out


def cut_in_parts(
    hours: Floats | float, n: Ints | int, *, most: Floats | float, is_even: bool
) -> tuple[Floats, Floats]:
    """Return the hours on site of each part but the last, and of the last.

    Alike, or all but the last as long as can be.
    """
    each = np.asarray(hours / n, dtype=np.float64)
    if is_even:
        return each, each
    last = np.maximum(hours - (n - 1) * most, np.minimum(_LEAST_PART, each))
    return np.asarray((hours - last) / np.maximum(n - 1, 1), dtype=np.float64), last


def _consecutive(free: list[list[float]], first: int, needs: list[float]) -> list[int]:
    """Return the week of each part in the earliest run of weeks with room for all, or nothing."""
    for start in range(first, len(free)):
        taken: list[int] = []
        for week in range(start, len(free)):
            left = list(free[week])
            n_before = len(taken)
            while len(taken) < len(needs) and (at := _fitting(left, needs[len(taken)])) >= 0:
                left.pop(at)
                taken.append(week)
            if len(taken) == len(needs):
                return taken
            if len(taken) == n_before:
                break
    return []


def _fitting(rooms: list[float], need: float) -> int:
    """Return the place of the smallest room, of a sorted list, that holds what is needed, or -1."""
    at = bisect_left(rooms, need - _EPSILON)
    return at if at < len(rooms) else -1


def _problem(
    candidates: Candidates,
    request: PlanRequest,
    *,
    parts: list[Part],
    ways: Places,
    worth: Ints,
    slots: list[Slot],
) -> ProblemData:
    from pyvrp import Client, Depot, Location, ProblemData, VehicleType  # slow to import

    week = int(request.hours_per_week * _SECONDS)
    best = max(float(candidates.expected_yield[ways.candidate].max()), 1e-12)
    clients = []
    for part in parts:
        index, n = part.stop.candidate, part.stop.n_parts
        prize = int(_YIELD_PRIZE * candidates.expected_yield[index] / best / n) + 1
        prize += int(worth[index])
        clients.append(
            Client(
                part.location,
                pickup=[int(n > 1)],
                service_duration=int(np.ceil(part.stop.hours * _SECONDS)),
                tw_early=part.first_week * week,
                tw_late=(part.last_week + 1) * week,
                prize=prize,
                required=False,
            )
        )
    vehicles = [
        VehicleType(
            len(slot.investigators),
            capacity=[1],  # parts: no two share a week
            tw_early=slot.week * week,
            tw_late=(slot.week + 1) * week,
            shift_duration=int(slot.hours * _SECONDS),
        )
        for slot in slots
    ]
    return ProblemData(
        locations=[Location(0, 0) for _ in range(len(ways.km))],
        clients=clients,
        depots=[Depot(0)],
        vehicle_types=vehicles,
        distance_matrices=[np.rint(ways.km).astype(np.int64)],
        duration_matrices=[np.ceil(drive_hours(ways.km) * _SECONDS).astype(np.int64)],
    )


def _read(
    best: Solution, *, parts: list[Part], ways: Places, slots: list[Slot]
) -> tuple[Tour, ...]:
    routes = [
        (int(r.vehicle_type()), [parts[a.idx].stop for a in r if a.is_client()])
        for r in best.routes()
    ]
    n_visited = Counter(stop.candidate for _, stops in routes for stop in stops)
    by_slot: dict[int, list[tuple[Stop, ...]]] = {}
    for slot, stops in routes:
        whole = tuple(stop for stop in stops if n_visited[stop.candidate] == stop.n_parts)
        if whole:
            by_slot.setdefault(slot, []).append(whole)
    tours = [
        Tour(
            slots[at].week,
            slots[at].investigators[i],
            stops,
            ways.tour_km([stop.candidate for stop in stops]),
        )
        for at in sorted(by_slot)
        for i, stops in enumerate(sorted(by_slot[at], key=lambda s: s[0].candidate))
    ]
    return tuple(sorted(tours, key=lambda tour: (tour.week, tour.investigator)))
