"""A change by hand: one visit moved to another week, and what that costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from serving.planning.candidates import Candidates, Standing, read_candidates, with_standing
from serving.planning.request import PlanError, PlanRequest
from serving.planning.solving.selection import n_parts
from serving.planning.solving.weekly_routes import Stop, Tour, places


@dataclass(frozen=True)
class Placed:
    """Where a person puts a visit.

    Parameters
    ----------
    dealer : str
    week, investigator : int
        Counted from 1.
    hours : float, optional
        On site in this part; an equal share of the visit when absent.
    is_moved : bool
        Inserted where it lengthens its week least; what was not moved keeps its order.
    """

    dealer: str
    week: int
    investigator: int
    hours: float | None = None
    is_moved: bool = False


@dataclass(frozen=True)
class Changed:
    """An itinerary arranged by hand.

    Parameters
    ----------
    tours : tuple of Tour
        What was not moved in the order given, what was moved inserted where it drives least.
    km, hours, objective : float
        Road kilometers, hours spent with driving, and expected yield of the whole arrangement.
    broken : tuple of str
        Rules that the arrangement breaks, in sentences; empty when it breaks none.
    candidates : Candidates
        What the stops of the tours point into.
    """

    tours: tuple[Tour, ...]
    km: float
    hours: float
    objective: float
    broken: tuple[str, ...]
    candidates: Candidates

    def dealers_of(self, tour: Tour) -> list[str]:
        """Return the dealers of a tour in visiting order."""
        return [str(self.candidates.dealer[stop.candidate]) for stop in tour.stops]


def arrange(
    frame: pd.DataFrame,
    request: PlanRequest,
    *,
    placed: list[Placed],
    left_out: Collection[str] = (),
    standing: Sequence[Standing] = (),
) -> Changed:
    """Return what an arrangement by hand drives and yields, and which rules it breaks.

    Parameters
    ----------
    frame : DataFrame
        The candidates the plan was made from.
    request : PlanRequest
    placed : list of Placed
        Each planned dealer once for each part of its visit, in visiting order.
    left_out : collection of str
        Recalls due that the plan as made has no place for and names: no change by hand broke that.
    standing : sequence of Standing
        Placed dealers that are no candidates any more: they stay as they were planned.

    Raises
    ------
    PlanError
        When a dealer is no candidate of this plan, or a week or investigator does not exist.
    """
    candidates = with_standing(read_candidates(frame, request), standing, request)
    row = {str(dealer): i for i, dealer in enumerate(candidates.dealer)}
    for place in placed:
        _check(place, row, request)
    members = np.array(sorted({row[place.dealer] for place in placed}), dtype=np.int64)
    ways = places(candidates, request, members=members)
    groups: dict[tuple[int, int], list[tuple[Placed, Stop]]] = {}
    for pair in zip(placed, _stops(candidates, placed, row), strict=True):
        groups.setdefault((pair[0].week - 1, pair[0].investigator - 1), []).append(pair)
    tours = []
    for (week, investigator), pairs in sorted(groups.items()):
        order = [stop for place, stop in pairs if not place.is_moved]
        for stop in (stop for place, stop in pairs if place.is_moved):
            tries = [[*order[:i], stop, *order[i:]] for i in range(len(order) + 1)]
            order = min(tries, key=lambda stops: ways.tour_km([s.candidate for s in stops]))
        km = ways.tour_km([stop.candidate for stop in order])
        tours.append(Tour(week, investigator, tuple(order), km))
    return Changed(
        tours=tuple(tours),
        km=sum(tour.km for tour in tours),
        hours=sum(tour.hours for tour in tours),
        objective=float(candidates.expected_yield[members].sum()),
        broken=_broken(candidates, request, tours=tours, left_out=left_out),
        candidates=candidates,
    )


def _stops(candidates: Candidates, placed: list[Placed], row: dict[str, int]) -> list[Stop]:
    total: dict[str, int] = {}
    for place in placed:
        total[place.dealer] = total.get(place.dealer, 0) + 1
    seen: dict[str, int] = {}
    out = []
    for place in placed:
        part = seen.get(place.dealer, 0)
        seen[place.dealer] = part + 1
        n, index = total[place.dealer], row[place.dealer]
        hours = float(candidates.hours[index]) / n if place.hours is None else place.hours
        out.append(Stop(index, part, n, hours))
    return out


def _broken(
    candidates: Candidates,
    request: PlanRequest,
    *,
    tours: list[Tour],
    left_out: Collection[str],
) -> tuple[str, ...]:
    out = []
    for tour in tours:
        over = tour.hours - request.hours_in(tour.week, tour.investigator)
        if over > 1e-6:
            out.append(
                f"Week {tour.week + 1} of investigator {tour.investigator + 1} takes"
                f" {tour.hours:.1f} hours, {over:.1f} more than there are."
            )
        for stop in tour.stops:
            first = int(candidates.first_week[stop.candidate])
            if tour.week < first:
                out.append(
                    f"{candidates.dealer[stop.candidate]} may lawfully be visited from week"
                    f" {first + 1} on ({request.week_starts_on(first).isoformat()})."
                )
    stops = [stop for tour in tours for stop in tour.stops]
    needed = n_parts(candidates, request)
    out += [
        f"{candidates.dealer[stop.candidate]} needs {needed[stop.candidate]} investigator-weeks."
        for stop in stops
        if stop.part == 0 and stop.n_parts < needed[stop.candidate]
    ]
    planned = {stop.candidate for stop in stops}
    out += [
        f"{candidates.dealer[i]} is due for recall and is not in the plan."
        for i in np.flatnonzero(candidates.is_recall_due)
        if int(i) not in planned and candidates.dealer[i] not in left_out
    ]
    return tuple(out)


def _check(place: Placed, row: dict[str, int], request: PlanRequest) -> None:
    if place.dealer not in row:
        raise PlanError(
            f"{place.dealer} is no candidate of this plan.",
            expected="a dealer that the plan could choose",
        )
    if not 1 <= place.week <= request.weeks:
        raise PlanError("That week is not in the plan.", found=str(place.week),
                        expected=f"1 to {request.weeks}")  # fmt: skip
    if not 1 <= place.investigator <= request.n_investigators:
        raise PlanError("That investigator is not in the plan.", found=str(place.investigator),
                        expected=f"1 to {request.n_investigators}")  # fmt: skip
