"""The plan page: hours in, an itinerary out; changes by hand with their cost; a calendar file."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import numpy as np
from fastapi import APIRouter, Depends, Request
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from serving.access.audit import subjects
from serving.api.callers import Caller
from serving.contract.plan import RULES
from serving.planning import Changed, Placed, PlanError, PlanInfeasibleError, arrange, to_ics
from serving.planning.calendar import days_of
from serving.planning.for_caller import Made, next_monday, plan_office
from serving.planning.travel import drive_hours
from serving.scores.snapshot import View
from serving.web import atlas
from serving.web.rendering import dealer_name, page
from serving.web.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_RULES: Final = {
    "recalls": "Recalls due",
    "random_share": "Random share",
    "coverage": "Coverage quota",
    "twelve_months": "Twelve-month rule",
    "travel": "Driving",
    "hours": "Hours",
}
_MOST_MOVES: Final = 60


def _rule(name: str) -> Any:
    """Return the default and the bounds of a rule, as the API has them."""
    return RULES[name]


class Ask(BaseModel):
    """What is planned; all of it is in the address, and the same address gives the same plan."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    office: str = Field(default="", max_length=80)
    starts_on: date | None = None
    weeks: int = _rule("weeks")
    investigators: int = _rule("n_investigators")
    hours: float = _rule("hours_per_week")
    random_share: float = _rule("random_share")
    coverage_years: float | None = _rule("coverage_years")
    coverage_share: float = _rule("coverage_share")
    move: list[Annotated[str, Field(max_length=60)]] = Field(
        default_factory=list, max_length=_MOST_MOVES
    )

    @classmethod
    def read(cls, request: Request) -> Ask:
        """Read the address; an empty field is one that was not filled in."""
        query = request.query_params
        fields: dict[str, Any] = {name: v for name, v in query.items() if v and name != "move"}
        moves = [move for move in query.getlist("move") if move]
        if dealer := fields.get("move_dealer"):
            person = fields.get("move_investigator", "1")
            week = fields.get("move_week", "")
            moves.append(f"{dealer}~out" if week == "out" else f"{dealer}~{week}.{person}")
        return cls.model_validate(fields | {"move": moves})

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Name and value of all but the moves."""
        values = self.model_dump(mode="json", exclude={"move"}, exclude_none=True)
        return [(name, str(value)) for name, value in values.items()]


def planned(caller: Caller, ask: Ask) -> Made:
    """Return the plan that is asked for."""
    rules = {
        "weeks": ask.weeks,
        "hours_per_week": float(ask.hours),
        "n_investigators": ask.investigators,
        "random_share": ask.random_share,
        "coverage_years": None if ask.coverage_years is None else float(ask.coverage_years),
        "coverage_share": ask.coverage_share,
        "draw": caller.runtime.draw(caller.scope.view.snapshot.as_of),
    }
    return plan_office(
        caller.scope, caller.principal, ask.office, rules=rules, starts_on=ask.starts_on
    )


@router.get("/plan")
async def show(request: Request, caller: Annotated[Caller, Depends(may("plan"))]) -> Response:
    """Show the form, and the plan when one is asked for."""
    purpose = caller.purpose()
    ask = _read(request)
    if not ask.office:
        return await asyncio.to_thread(_form, request, caller, ask)
    try:
        made = await asyncio.to_thread(planned, caller, ask)
        changed = await asyncio.to_thread(_changed, made, ask)
    except PlanError as error:
        return await asyncio.to_thread(_form, request, caller, ask, error)
    await caller.record(subjects(made.plan.dealers), purpose=purpose)
    return await asyncio.to_thread(_show, request, caller, ask, made=made, changed=changed)


@router.get("/plan.ics")
async def calendar(request: Request, caller: Annotated[Caller, Depends(may("plan"))]) -> Response:
    """Return the plan as a calendar file."""
    purpose = caller.purpose()
    ask = _read(request)
    made = await asyncio.to_thread(planned, caller, ask)
    await caller.record(subjects(made.plan.dealers), purpose=purpose)
    view = caller.scope.view
    names = {dealer: _name(view, dealer) for dealer in made.plan.dealers}
    plan_id = hashlib.sha256(repr(made.request).encode()).hexdigest()[:16]
    # The day of the data, not the hour of the download: the same plan gives the same file.
    made_at = datetime.combine(view.snapshot.as_of, time(), UTC)
    content = to_ics(made.plan, names=names, made_at=made_at, plan_id=plan_id)
    headers = {
        "Content-Disposition": 'attachment; filename="plan.ics"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type="text/calendar; charset=utf-8", headers=headers)


def _read(request: Request) -> Ask:
    try:
        return Ask.read(request)
    except ValueError:
        raise PlanError(
            "The plan's form holds something unusable.",
            expected="1 to 26 weeks, 1 to 20 investigators, 8 to 80 hours each",
        ) from None


def _changed(made: Made, ask: Ask) -> Changed | None:
    """Return the itinerary with the moves of the address, None when there is none."""
    if not ask.move:
        return None
    placed = [Placed(v.dealer, v.week, v.investigator) for v in made.plan.visits]
    for move in ask.move:
        dealer, _, where = move.partition("~")
        parts = [i for i, place in enumerate(placed) if place.dealer == dealer]
        if not parts:
            raise PlanError("A visit to move is not in the plan.", found=dealer)
        if where == "out":
            placed = [place for place in placed if place.dealer != dealer]
            continue
        week, _, investigator = where.partition(".")
        if not (week.isdecimal() and investigator.isdecimal()):
            raise PlanError("A move cannot be read.", expected="DEALER~WEEK.INVESTIGATOR")
        for offset, i in enumerate(parts):
            placed[i] = Placed(dealer, int(week) + offset, int(investigator))
    return arrange(made.table, made.request, placed=placed)


def _form(request: Request, caller: Caller, ask: Ask, error: PlanError | None = None) -> Response:
    relaxations = error.relaxations if isinstance(error, PlanInfeasibleError) else ()
    return page(
        request, "plan.html", title="Plan", active="plan", me=caller.principal,
        status=200 if error is None else error.status, error=error, relaxations=relaxations,
        plan=None, query="", **_choices(caller, ask),
    )  # fmt: skip


def _choices(caller: Caller, ask: Ask) -> dict[str, Any]:
    scope = caller.scope
    offices = np.unique(scope.view.snapshot.columns["office"][scope.own].astype(str))
    shown = ask.model_copy(
        update={"starts_on": ask.starts_on or next_monday(scope.view.snapshot.as_of)}
    )
    return {"offices": [str(office) for office in offices if office], "ask": shown}


def _show(
    request: Request, caller: Caller, ask: Ask, *, made: Made, changed: Changed | None
) -> Response:
    view, plan = caller.scope.view, made.plan
    weeks = _weeks(view, made, changed)
    choices = _choices(caller, ask)
    fields = choices["ask"].fields
    most = max((cost.yield_lost for cost in plan.costs), default=0.0)
    return page(
        request, "plan.html", title="Plan", active="plan", me=caller.principal, error=None,
        plan=plan, weeks=weeks, head=view.snapshot.heads[0], query=urlencode(fields),
        fields=fields, made_moves=ask.move,
        moves=urlencode([("move", move) for move in ask.move]),
        totals=_totals(made), changed=_change_in_words(made, changed),
        costs=[
            {
                "label": _RULES.get(cost.rule, cost.rule), "meaning": cost.meaning,
                "yield_lost": cost.yield_lost, "width": 200 * cost.yield_lost / max(most, 1e-9),
            }
            for cost in sorted(plan.costs, key=lambda cost: -cost.yield_lost)
        ],
        free_rules=[
            _RULES.get(cost.rule, cost.rule).lower()
            for cost in plan.costs
            if cost.yield_lost < 0.005
        ],
        itinerary=_drawing(view, made, weeks), **choices,
    )  # fmt: skip


def _totals(made: Made) -> dict[str, float]:
    drive = sum(week.drive_hours for week in made.plan.weeks)
    return {
        "hours": drive + sum(week.visit_hours for week in made.plan.weeks),
        "drive": drive,
        "available": made.request.total_hours,
        "km": sum(week.km for week in made.plan.weeks),
    }


def _change_in_words(made: Made, changed: Changed | None) -> dict[str, Any] | None:
    if changed is None:
        return None
    before = _totals(made)
    gain, km = changed.objective - made.plan.objective, changed.km - before["km"]
    hours = changed.hours - before["hours"]
    more = "more" if km >= 0 else "less"
    sentence = (
        f"It drives {abs(km):,.0f} km {more}, takes {abs(hours):.1f} hours"
        f" {'more' if hours >= 0 else 'less'}, and changes the expected findings by {gain:+.2f}."
    )
    return {"sentence": sentence.replace("-", "−"), "broken": changed.broken}


def _weeks(view: View, made: Made, changed: Changed | None) -> list[dict[str, Any]]:
    """Return one entry for each week and investigator, those without a visit too."""
    visits = _visits(made, changed)
    request = made.request
    out = []
    for week in range(1, request.weeks + 1):
        for person in range(1, request.n_investigators + 1):
            km, own = visits.get((week, person), (0.0, []))
            on_site = sum(visit["hours"] for visit in own)
            drive = drive_hours(km)
            own = [visit | _facts(view, visit["dealer"]) for visit in own]
            out.append(
                {
                    "week": week,
                    "investigator": person,
                    "starts_on": request.week_starts_on(week - 1),
                    "visits": own,
                    "km": km,
                    "drive": drive,
                    "hours": on_site + drive,
                    "is_over": on_site + drive > request.hours_per_week + 1e-6,
                    "visit_share": min(100 * on_site / request.hours_per_week, 100.0),
                    "drive_share": 100 * drive / request.hours_per_week,
                }
            )
    return out


def _visits(
    made: Made, changed: Changed | None
) -> dict[tuple[int, int], tuple[float, list[dict[str, Any]]]]:
    """Return kilometers and visits by (week, investigator), as planned or as changed by hand."""
    out: dict[tuple[int, int], tuple[float, list[dict[str, Any]]]] = {}
    if changed is None:
        for week in made.plan.weeks:
            out[week.week, week.investigator] = (week.km, [])
        for visit in made.plan.visits:
            first, last = days_of(visit, made.request.week_starts_on(visit.week - 1))
            days = f"{first:%a}" if first == last else f"{first:%a} to {last:%a}"
            out[visit.week, visit.investigator][1].append({**visit.__dict__, "days": days})
        return out
    known = {visit.dealer: visit for visit in made.plan.visits}
    for tour in changed.tours:
        own = []
        for order, (dealer, stop) in enumerate(
            zip(changed.dealers_of(tour), tour.stops, strict=True), start=1
        ):
            visit = known[dealer]
            own.append(
                {
                    **visit.__dict__, "hours": stop.hours, "part": stop.part + 1,
                    "n_parts": stop.n_parts, "order": order, "days": f"stop {order}",
                }
            )  # fmt: skip
        out[tour.week + 1, tour.investigator + 1] = (tour.km, own)
    return out


def _facts(view: View, dealer: str) -> dict[str, str]:
    row = view.snapshot.row_of[dealer]
    columns = view.snapshot.columns
    return {
        "name": _name(view, dealer),
        "place": f"{columns['city'][row]}, {columns['state'][row]}",
    }


def _name(view: View, dealer: str) -> str:
    row = view.snapshot.row_of[dealer]
    columns = view.snapshot.columns
    names = ("business_name", "licensee_name")
    return dealer_name({"dealer": dealer} | {name: columns[name][row] for name in names})


def _drawing(view: View, made: Made, weeks: list[dict[str, Any]]) -> Markup:
    """Draw the itinerary over the counties, each week in one of four line styles."""
    columns = view.snapshot.columns
    office = atlas.project(made.request.latitude, made.request.longitude)
    tours = []
    for week in weeks:
        rows = [view.snapshot.row_of[visit["dealer"]] for visit in week["visits"]]
        if rows:
            places = atlas.project(columns["latitude"][rows], columns["longitude"][rows])
            tours.append((week["week"], places))
    box = atlas.around(np.vstack([office, *(places for _, places in tours)]), margin=0.12)
    unit = box[2] / 100
    shapes, states = atlas.shapes("counties"), atlas.shapes("states")
    parts = [f'<path class="county" d="{shapes.paths[c]}"/>' for c in shapes.within(box)]
    parts += [f'<path class="state" d="{states.paths[c]}"/>' for c in states.within(box)]
    for number, places in tours:
        way = atlas.path_of(np.vstack([office, places, office]))
        parts.append(f'<path class="route route-{(number - 1) % 4 + 1}" d="{way}"/>')
    for number, places in tours:
        for i, (x, y) in enumerate(places):
            parts.append(f'<circle class="dot q2" cx="{x:.1f}" cy="{y:.1f}" r="{unit:.1f}"/>')
            if i == 0:
                parts.append(
                    f'<text class="label" x="{x + 1.4 * unit:.1f}" y="{y + unit:.1f}"'
                    f' font-size="{3.4 * unit:.1f}">{number}</text>'
                )
    (x, y), side = office[0], 1.6 * unit
    parts.append(
        f'<rect class="office" x="{x - side:.1f}" y="{y - side:.1f}" width="{2 * side:.1f}"'
        f' height="{2 * side:.1f}"/>'
    )
    where = " ".join(f"{part:.1f}" for part in box)
    return Markup(  # noqa: S704 - numbers and paths of our own only
        f'<div class="map"><svg class="canvas" viewBox="{where}" role="img"'
        f' aria-label="Map of the visits; the same order is in the weeks beside it">'
        f"{''.join(parts)}</svg></div>"
    )
