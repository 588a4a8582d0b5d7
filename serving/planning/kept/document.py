"""One document of a plan, from which page, paper, calendar and spreadsheet are all written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from features.domain.asof import from_numpy
from serving.contract.kept_plan import Absence, Holiday, KeptPlan, KeptVisit
from serving.planning.change import Changed, Placed, arrange
from serving.planning.for_caller import Made
from serving.planning.itinerary import Visit, visits_of
from serving.planning.kept.in_names import dealers_in, in_names
from serving.planning.kept.moves import after
from serving.planning.kept.nights import Evenings, evenings
from serving.planning.kept.no_longer_choosable import at_places, not_lawful, standing_of
from serving.planning.request import PlanRequest
from serving.planning.travel import drive_hours, road_km
from serving.planning.workdays import Leave, Workdays, day_hours, days_on_site, workdays
from serving.scores.visible_dealers import View
from serving.scores.words.told_apart import told_apart

_N_REASONS: Final = 3
_N_WEIGHED: Final = 5
_NO_ID: Final = "P-00000000-000000000000"


@dataclass(frozen=True)
class Terms:
    """What a document says beside the itinerary.

    Parameters
    ----------
    office : str
    investigators : tuple of str
        Names, in the order of the itinerary's numbers.
    leave : tuple of Leave
    moves : tuple of str
        Changes by hand, in the order made.
    with_holidays : bool
    owner, at : str
    """

    office: str
    investigators: tuple[str, ...]
    leave: tuple[Leave, ...] = ()
    moves: tuple[str, ...] = ()
    with_holidays: bool = True
    owner: str = ""
    at: str = ""

    def workdays(self, starts_on: date, weeks: int) -> Workdays:
        """Return the days on which these investigators work."""
        return workdays(
            starts_on,
            weeks=weeks,
            n_investigators=len(self.investigators),
            leave=self.leave,
            with_holidays=self.with_holidays,
        )


def retimed(
    changed: Changed, request: PlanRequest, planned: Mapping[str, tuple[str, float]]
) -> tuple[Visit, ...]:
    """Return the visits of an arrangement by hand, timed like those of a plan.

    Parameters
    ----------
    planned : mapping of str to (str, float)
        Why each dealer is in the plan, and the probability of its draw.
    """
    dealers = [str(dealer) for dealer in changed.candidates.dealer]
    why = np.array([planned.get(dealer, ("model", 1.0))[0] for dealer in dealers], dtype=np.str_)
    visits = visits_of(changed.candidates, request, tours=changed.tours, why=why, probability=1.0)
    return tuple(
        replace(visit, inclusion_probability=planned.get(visit.dealer, ("", 1.0))[1])
        for visit in visits
    )


def rearranged(
    view: View,
    table: pd.DataFrame,
    plan: KeptPlan,
    move: str,
    *,
    settled: Collection[str] = (),
) -> KeptPlan:
    """Return a kept plan with one more change by hand; it is a draft again.

    A dealer of the plan that is no candidate any more stays where it is unless it is left out.

    Parameters
    ----------
    table : DataFrame
        The office's candidates as they are now: who has become ineligible since is named.
    move : str
        ``DEALER~WEEK.INVESTIGATOR`` or ``DEALER~out``.
    settled : collection of str
        Dealers that the plan is marked with as visited since or out of business: that they are no
        candidates breaks no rule.

    Raises
    ------
    PlanError
        When it cannot be read, or moves a dealer that can no longer be visited.
    """
    days = terms_of(plan).workdays(plan.starts_on, plan.weeks)
    request = request_of(plan, days)
    missing = recalls_missing(plan)
    placed = [Placed(v.dealer, v.week, v.investigator, v.hours) for v in plan.visits]
    placed = after(placed, move, weeks=plan.weeks, can_return=missing)
    standing = standing_of(plan, table, request, placed=placed)
    changed = arrange(
        table,
        request,
        placed=placed,
        left_out=dealers_in(plan.shortfalls),
        standing=list(standing.values()),
    )
    planned = dict.fromkeys(missing, ("recall", 1.0))
    planned |= {v.dealer: (str(v.why), v.inclusion_probability) for v in plan.visits}
    broken = [*changed.broken, *not_lawful(table, standing.keys() - set(settled), plan)]
    visits = _visits(view, retimed(changed, request, planned), request, days=days, broken=broken)
    changes: dict[str, Any] = {
        "visits": measured(at_places(visits, standing), plan.latitude, plan.longitude),
        "moves": [*plan.moves, move],
        "objective": changed.objective,
        "bound": None,
        "broken": said(view, broken, plan.investigators),
        "status": "draft",
    }
    return plan.model_copy(update=changes)


def recalls_missing(plan: KeptPlan) -> frozenset[str]:
    """Return the recalls due that are left out against the rules: they can be put back."""
    return dealers_in(plan.broken) - {visit.dealer for visit in plan.visits}


def said(view: View, sentences: Sequence[str], investigators: Sequence[str]) -> list[str]:
    """Return sentences in the names of those who read them and of the dealers they see."""
    names = names_of(view, dealers_in(sentences))
    return [in_names(sentence, investigators, names) for sentence in sentences]


def names_of(view: View, dealers: Collection[str]) -> dict[str, str]:
    """Return what dealers are called, those that the caller sees."""
    return {one: _facts(view, one)["name"] for one in dealers if view.row(one) is not None}


def document(view: View, made: Made, terms: Terms, *, changed: Changed | None) -> KeptPlan:
    """Return the plan as one document, not kept yet: its version is 1 and its status draft."""
    request, plan = made.request, made.plan
    days = terms.workdays(request.starts_on, request.weeks)
    planned = {v.dealer: (str(v.why), v.inclusion_probability) for v in plan.visits}
    visits = plan.visits if changed is None else retimed(changed, request, planned)
    broken = [*(() if changed is None else changed.broken)]
    kept_visits = _visits(view, visits, request, days=days, broken=broken)
    return KeptPlan(
        plan_id=_NO_ID,
        version=1,
        status="draft",
        office=terms.office,
        starts_on=request.starts_on,
        weeks=request.weeks,
        hours_per_week=request.hours_per_week,
        latitude=request.latitude,
        longitude=request.longitude,
        start=request.start,
        investigators=list(terms.investigators),
        absences=[
            Absence(investigator=one.investigator, first_on=one.first_on, last_on=one.last_on)
            for one in terms.leave
        ],
        holidays=[Holiday(on=when, name=name) for when, name in days.holidays],
        moves=list(terms.moves),
        rules=_rules(request, terms),
        visits=kept_visits,
        head=view.snapshot.heads[0],
        n_drawn=plan.n_drawn,
        objective=plan.objective if changed is None else changed.objective,
        bound=plan.bound if changed is None else None,
        set_aside=dict(plan.set_aside),
        shortfalls=said(view, plan.shortfalls, terms.investigators),
        broken=said(view, broken, terms.investigators),
        note="",
        owner=terms.owner,
        who=terms.owner,
        at=terms.at,
        basis=view.snapshot.basis,  # type: ignore[arg-type]
        disclaimers=view.snapshot.disclaimers,
    )


def _rules(request: PlanRequest, terms: Terms) -> dict[str, float | int | str | None]:
    return {
        "random_share": request.random_share,
        "coverage_years": request.coverage_years,
        "coverage_share": request.coverage_share,
        "seed": request.seed,
        "with_holidays": int(terms.with_holidays),
    }


def _visits(
    view: View,
    visits: Sequence[Visit],
    request: PlanRequest,
    *,
    days: Workdays,
    broken: list[str],
) -> list[KeptVisit]:
    out = []
    reasons = _reasons(view, [visit.dealer for visit in visits])
    for visit in visits:
        own = days.days[visit.week - 1][visit.investigator - 1]
        if not own:
            broken.append(
                f"Week {visit.week} of investigator {visit.investigator} has no working day and"
                f" holds a visit to {visit.dealer}."
            )
            start = request.week_starts_on(visit.week - 1)
            first_on, last_on = start, start
        else:
            first_on, last_on = days_on_site(visit.starts_after_hours, visit.hours, own, request)
        facts = _facts(view, visit.dealer) | {"reasons": reasons[visit.dealer]}
        planned = {name: getattr(visit, name) for name in _OF_VISIT}
        out.append(
            KeptVisit(**planned, **facts, first_on=first_on, last_on=last_on, drive_hours=0, km=0)
        )
    return measured(out, request.latitude, request.longitude)


_OF_VISIT: Final = (
    "dealer", "week", "investigator", "order", "part", "n_parts", "starts_after_hours", "hours",
    "expected_yield", "why", "inclusion_probability",
)  # fmt: skip
_TEXTS: Final = (
    "licensee_name", "license_number", "license_type", "street", "city", "state", "zip",
)  # fmt: skip


def _facts(view: View, dealer: str) -> dict[str, Any]:
    row = view.snapshot.row_of[dealer]
    columns = view.snapshot.columns
    name = columns["business_name"][row] or columns["licensee_name"][row] or dealer
    return {
        **{column: str(columns[column][row]) for column in _TEXTS},
        "name": str(name),
        "latitude": float(columns["latitude"][row]),
        "longitude": float(columns["longitude"][row]),
        "last_inspected_on": from_numpy(columns["last_inspected_on"][row]),
        "last_outcome": str(columns["last_outcome"][row]) or None,
        "last_kind": str(columns["last_kind"][row]) or None,
    }


def _reasons(view: View, dealers: Sequence[str]) -> dict[str, list[str]]:
    """Return the sentences of each dealer, first those that tell it from the others planned."""
    own = list(dict.fromkeys(dealers))
    found = [view.reasons(view.snapshot.row_of[dealer], _N_WEIGHED) for dealer in own]
    return {
        dealer: [reason["sentence"] for reason in reasons[:_N_REASONS]]
        for dealer, reasons in zip(own, told_apart(found), strict=True)
    }


def measured(visits: Sequence[KeptVisit], latitude: float, longitude: float) -> list[KeptVisit]:
    """Return the visits numbered within each week, each with the way from the stop before."""
    out: list[KeptVisit] = []
    at: tuple[int, int] | None = None
    place, order = (latitude, longitude), 0
    for visit in sorted(visits, key=lambda v: (v.week, v.investigator, v.order)):
        if at != (visit.week, visit.investigator):
            at, place, order = (visit.week, visit.investigator), (latitude, longitude), 0
        order += 1
        km = _way(place, (visit.latitude, visit.longitude))
        place = (visit.latitude, visit.longitude)
        changes: Mapping[str, Any] = {"order": order, "km": km, "drive_hours": drive_hours(km)}
        out.append(visit.model_copy(update=changes))
    return out


def _way(a: tuple[float, float], b: tuple[float, float]) -> float:
    km = road_km(np.array([a[0]]), np.array([a[1]]), to_latitude=b[0], to_longitude=b[1])
    return float(np.ravel(km)[0])


@dataclass(frozen=True)
class WeekOf:
    """One investigator's week of a document.

    Parameters
    ----------
    week, investigator : int
        From 1.
    days : tuple of date
        Working days; holidays and leave are not among them.
    visits : tuple of KeptVisit
    km, drive_hours, hours, hours_available : float
        `hours` are on site and at the wheel, the way back included.
    evenings : Evenings
        Nights away, and what going home in between adds.
    """

    week: int
    investigator: int
    starts_on: date
    days: tuple[date, ...]
    visits: tuple[KeptVisit, ...]
    km: float
    drive_hours: float
    hours: float
    hours_available: float
    evenings: Evenings

    @property
    def is_over(self) -> bool:
        """Whether it takes more hours than there are."""
        return self.hours > self.hours_available + 0.05


def weeks_of_document(plan: KeptPlan) -> list[WeekOf]:
    """Return every investigator's week, those without a visit too."""
    terms = terms_of(plan)
    days = terms.workdays(plan.starts_on, plan.weeks)
    request = request_of(plan, days)
    out = []
    for week in range(1, plan.weeks + 1):
        for person in range(1, len(plan.investigators) + 1):
            own = tuple(v for v in plan.visits if (v.week, v.investigator) == (week, person))
            home = (plan.latitude, plan.longitude)
            ways = [_way((visit.latitude, visit.longitude), home) for visit in own]
            km = sum(visit.km for visit in own) + (ways[-1] if own else 0.0)
            worked = days.days[week - 1][person - 1]
            drive = drive_hours(km)
            out.append(
                WeekOf(
                    week,
                    person,
                    request.week_starts_on(week - 1),
                    worked,
                    own,
                    km,
                    drive,
                    drive + sum(visit.hours for visit in own),
                    request.hours_in(week - 1, person - 1),
                    evenings(own, ways, days=worked, day_hours=day_hours(request)),
                )
            )
    return out


def terms_of(plan: KeptPlan) -> Terms:
    """Return the terms of a kept plan."""
    return Terms(
        office=plan.office,
        investigators=tuple(plan.investigators),
        leave=tuple(Leave(a.investigator, a.first_on, a.last_on) for a in plan.absences),
        moves=tuple(plan.moves),
        with_holidays=bool(plan.rules.get("with_holidays", 1)),
        owner=plan.owner,
        at=plan.at,
    )


def request_of(plan: KeptPlan, days: Workdays) -> PlanRequest:
    """Return the request that a kept plan answers."""
    years = plan.rules.get("coverage_years")
    return PlanRequest(
        latitude=plan.latitude,
        longitude=plan.longitude,
        starts_on=plan.starts_on,
        weeks=plan.weeks,
        hours_per_week=plan.hours_per_week,
        n_investigators=len(plan.investigators),
        random_share=float(plan.rules["random_share"] or 0),
        coverage_years=None if years is None else float(years),
        coverage_share=float(plan.rules["coverage_share"] or 0),
        seed=int(plan.rules["seed"] or 0),
        n_workdays=days.n_days,
    )
