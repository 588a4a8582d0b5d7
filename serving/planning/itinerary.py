"""The itinerary as a value: visits, weeks, totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt

from features.arrays import Floats
from serving.planning.candidates import Candidates
from serving.planning.request import PlanRequest
from serving.planning.solving.price import Cost, Sensitivity
from serving.planning.solving.weekly_routes import Tour
from serving.planning.travel import drive_hours, road_km

Why = Literal["model", "random", "recall", "coverage", "list"]


@dataclass(frozen=True)
class Visit:
    """One stop of the itinerary.

    Parameters
    ----------
    dealer : str
    week, investigator, order : int
        Counted from 1; investigators are interchangeable.
    part, n_parts : int
        From 1; a visit longer than one investigator's week is done in parts.
    starts_after_hours : float
        Hours into the investigator's week at which the visit starts, driving included.
    hours : float
        Hours on site in this part.
    expected_yield : float
        Of the whole visit.
    why : str
        ``recall``, ``random``, ``list``, ``coverage`` or ``model``.
    inclusion_probability : float
        Probability of being drawn for a random dealer, 1 for another.
    """

    dealer: str
    week: int
    investigator: int
    order: int
    part: int
    n_parts: int
    starts_after_hours: float
    hours: float
    expected_yield: float
    why: Why
    inclusion_probability: float


@dataclass(frozen=True)
class Week:
    """One investigator's week, summed up.

    Parameters
    ----------
    week, investigator : int
        Counted from 1.
    starts_on : date
    n_visits : int
    visit_hours, drive_hours, hours_available : float
    km : float
        Road kilometers, estimated.
    """

    week: int
    investigator: int
    starts_on: date
    n_visits: int
    visit_hours: float
    drive_hours: float
    hours_available: float
    km: float


@dataclass(frozen=True)
class Plan:
    """Which dealers, when, in what order, and how good that is.

    Parameters
    ----------
    visits : tuple of Visit
        Sorted by week, investigator and order.
    weeks : tuple of Week
    objective : float
        Expected yield of the itinerary.
    bound : float
        Proven upper bound on the expected yield of any itinerary under the same rules.
    gap : float
        ``1 - objective / bound``: what routing, packing and the solver may have left, at most.
    selection_gap : float
        The part of it that the integer program left unproven.
    n_candidates, n_overdue : int
    set_aside : mapping of str to int
        Candidates that could not be planned, by reason.
    shortfalls : tuple of str
        Required visits that fit the hours in sum but for which no place was found, and recalls due
        that could not be planned; usually empty.
    costs : tuple of Cost
    sensitivity : tuple of Sensitivity
    inclusion_probability : float
        Of each dealer in the frame of the random draw.
    n_drawn : int
        How many the draw gave, those that found no place included.
    listed_missing : mapping of str to str
        Dealers required from a list that are not in the plan, and why.
    """

    visits: tuple[Visit, ...]
    weeks: tuple[Week, ...]
    objective: float
    bound: float
    gap: float
    selection_gap: float
    n_candidates: int
    n_overdue: int
    set_aside: Mapping[str, int]
    shortfalls: tuple[str, ...]
    costs: tuple[Cost, ...]
    sensitivity: tuple[Sensitivity, ...]
    inclusion_probability: float
    n_drawn: int
    listed_missing: Mapping[str, str]

    @property
    def dealers(self) -> tuple[str, ...]:
        """Planned dealers in visiting order, each once."""
        return tuple(dict.fromkeys(visit.dealer for visit in self.visits))

    @property
    def yield_per_hour(self) -> float:
        """Expected yield for each hour spent, driving included."""
        spent = sum(week.visit_hours + week.drive_hours for week in self.weeks)
        return self.objective / spent if spent else 0.0


def visits_of(
    candidates: Candidates,
    request: PlanRequest,
    *,
    tours: Sequence[Tour],
    why: npt.NDArray[np.str_],
    probability: float,
) -> tuple[Visit, ...]:
    """Return the stops of the tours as visits, timed within each investigator's week."""
    out = []
    for tour in tours:
        members = [stop.candidate for stop in tour.stops]
        legs = _legs(candidates, request, members=members)
        clock = 0.0
        for order, (stop, leg) in enumerate(zip(tour.stops, legs, strict=False), start=1):
            index = stop.candidate
            clock += float(leg)
            reason: Why = str(why[index])  # type: ignore[assignment]
            out.append(
                Visit(
                    dealer=str(candidates.dealer[index]),
                    week=tour.week + 1,
                    investigator=tour.investigator + 1,
                    order=order,
                    part=stop.part + 1,
                    n_parts=stop.n_parts,
                    starts_after_hours=clock,
                    hours=stop.hours,
                    expected_yield=float(candidates.expected_yield[index]),
                    why=reason,
                    inclusion_probability=probability if reason == "random" else 1.0,
                )
            )
            clock += stop.hours
    return _parts_in_order(out)


def _parts_in_order(visits: list[Visit]) -> tuple[Visit, ...]:
    """Return the visits with the parts of each dealer numbered as they begin."""
    n_begun: dict[str, int] = {}
    part_of: dict[int, int] = {}
    begins = sorted(
        range(len(visits)),
        key=lambda i: (visits[i].week, visits[i].starts_after_hours, visits[i].investigator),
    )
    for i in begins:
        part_of[i] = n_begun[visits[i].dealer] = n_begun.get(visits[i].dealer, 0) + 1
    return tuple(replace(visit, part=part_of[i]) for i, visit in enumerate(visits))


def weeks_of(request: PlanRequest, tours: Sequence[Tour]) -> tuple[Week, ...]:
    """Return one summary for each investigator's week with a visit."""
    return tuple(
        Week(
            week=tour.week + 1,
            investigator=tour.investigator + 1,
            starts_on=request.week_starts_on(tour.week),
            n_visits=len(tour.stops),
            visit_hours=sum(stop.hours for stop in tour.stops),
            drive_hours=tour.drive_hours,
            hours_available=request.hours_in(tour.week, tour.investigator),
            km=tour.km,
        )
        for tour in tours
    )


def _legs(candidates: Candidates, request: PlanRequest, *, members: list[int]) -> Floats:
    """Hours of driving before each stop, and home after the last."""
    latitude = np.r_[request.latitude, candidates.latitude[members], request.latitude]
    longitude = np.r_[request.longitude, candidates.longitude[members], request.longitude]
    km = road_km(
        latitude[:-1], longitude[:-1], to_latitude=latitude[1:], to_longitude=longitude[1:]
    )
    return drive_hours(km)
