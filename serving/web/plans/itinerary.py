"""A plan's document as a page shows it: weeks, totals and the map of its ways."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from serving.contract.kept_plan import KeptPlan
from serving.planning.kept.document import WeekOf, names_of, weeks_of_document
from serving.planning.kept.elsewhere import also_sentence
from serving.planning.kept.files import (
    address,
    chance,
    days_in_words,
    last_visit,
    part_of,
    start_sentence,
    without_visits,
)
from serving.planning.kept.in_names import in_names, move_in_words
from serving.planning.kept.nights import evenings_sentence
from serving.scores.visible_dealers import View
from serving.scores.words.wording import total_label
from serving.web import atlas

RULES: Final = {
    "recalls": "Recalls due",
    "list": "Dealers required from the list",
    "random_share": "Random share",
    "coverage": "Coverage quota",
    "twelve_months": "Twelve-month rule",
    "travel": "Driving",
    "hours": "Hours",
}

_NO_PLACE: Final = " and found no place in any investigator's week"
_ROUNDED: Final = 0.05  # hours, shown to a tenth


@dataclass(frozen=True)
class Shown:
    """One investigator's week, ready for the template."""

    of: WeekOf
    name: str
    visit_share: float
    drive_share: float
    off: str


_SHOWN: Final = 0.005  # rounds to a hundredth


def weeks_shown(plan: KeptPlan) -> list[Shown]:
    """Return the weeks of a plan with what is off in each, in words."""
    holidays = {one.on: one.name for one in plan.holidays}
    out = []
    for week in weeks_of_document(plan):
        room = max(week.hours_available, 1e-9)
        on_site = week.hours - week.drive_hours
        off = [
            f"{name}, {when:%a} {when.day} {when:%b}"
            for when, name in holidays.items()
            if 0 <= (when - week.starts_on).days < 7
        ]
        off += [
            f"away {days_in_words(one.first_on, one.last_on)}"
            for one in plan.absences
            if one.investigator == week.investigator
            and (one.last_on - week.starts_on).days >= 0
            and (one.first_on - week.starts_on).days < 7
        ]
        out.append(
            Shown(
                week,
                plan.investigators[week.investigator - 1],
                min(100 * on_site / room, 100.0),
                min(100 * week.drive_hours / room, 100.0),
                "; ".join(off),
            )
        )
    return out


def totals(weeks: list[Shown]) -> dict[str, float]:
    """Return hours, hours driving, hours available and kilometers of a whole plan.

    What going home in the evenings adds is in none of the hours: it is ``more``, and ``n_over`` is
    how many weeks take more hours than they have with it.
    """
    return {
        "hours": sum(week.of.hours for week in weeks),
        "drive": sum(week.of.drive_hours for week in weeks),
        "available": sum(week.of.hours_available for week in weeks),
        "km": sum(week.of.km for week in weeks),
        "more": sum(week.of.evenings.more_hours for week in weeks),
        "n_over": sum(
            week.of.hours + week.of.evenings.more_hours > week.of.hours_available + _ROUNDED
            for week in weeks
        ),
    }


def for_template(plan: KeptPlan, view: View, *, can_return: Collection[str] = ()) -> dict[str, Any]:
    """Return what the itinerary part of a page needs.

    Parameters
    ----------
    can_return : collection of str
        Dealers that a move can put into the plan again.
    """
    weeks = weeks_shown(plan)
    moved = {move.partition("~")[0] for move in plan.moves}
    names = names_of(view, {*moved, *can_return} - {visit.dealer for visit in plan.visits})
    left_out = [(dealer, names[dealer]) for dealer in can_return if dealer in names]
    names |= {visit.dealer: visit.name for visit in plan.visits}

    def named(said: str) -> str:
        return in_names(said, plan.investigators, names)

    return {
        "doc": plan,
        "is_gone": view.is_gone,
        "moved_by_hand": [move_in_words(move, plan.investigators, names) for move in plan.moves],
        "left_out": left_out,
        "n_without_place": sum(_NO_PLACE in sentence for sentence in plan.shortfalls),
        "without_visits": without_visits(plan),
        "overridden": list({v.dealer: v for v in plan.visits if v.override}.values()),
        "named": named,
        "also_in": [(one, also_sentence(one).partition(one.plan_id)) for one in plan.also_in],
        "elsewhere": list({v.dealer: v for v in plan.visits if v.elsewhere}.values()),
        "weeks": weeks,
        "totals": totals(weeks),
        "n_dealers": len({visit.dealer for visit in plan.visits}),
        "days_in_words": days_in_words,
        "address": address,
        "part_of": part_of,
        "last_visit": last_visit,
        "chance": partial(chance, plan),
        "start_sentence": start_sentence(plan),
        "evenings_sentence": evenings_sentence([week.of.evenings for week in weeks]),
        "itinerary": drawing(plan, weeks) if plan.visits else None,
    }


def drawing(plan: KeptPlan, weeks: list[Shown]) -> Markup:
    """Draw the itinerary over the counties, each week in one of four line styles."""
    office = atlas.project(plan.latitude, plan.longitude)
    tours = []
    for week in weeks:
        if week.of.visits:
            places = atlas.project(
                np.array([visit.latitude for visit in week.of.visits]),
                np.array([visit.longitude for visit in week.of.visits]),
            )
            tours.append((week.of.week, places))
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


def difference(old: KeptPlan, new: KeptPlan, what: str) -> str:
    """Say in a sentence what a plan takes and yields beside another."""
    is_many = what.startswith("All")
    before, after = totals(weeks_shown(old)), totals(weeks_shown(new))
    km, hours = after["km"] - before["km"], after["hours"] - before["hours"]
    gain, total = new.objective - old.objective, total_label(new.head)
    drives, takes, changes, leaves = (
        ("drive", "take", "change", "leave")
        if is_many
        else ("drives", "takes", "changes", "leaves")
    )
    sentence = (
        f"{what} {drives} {abs(km) * 0.621371:,.0f} miles ({abs(km):,.0f} km)"
        f" {'more' if km >= 0 else 'less'}, {takes} {abs(hours):.1f} hours"
        f" {'more' if hours >= 0 else 'less'}, and"
        + (
            f" {changes} the expected {total} by {gain:+.2f}."
            if abs(gain) >= _SHOWN
            else f" {leaves} the expected {total} as before."
        )
    )
    return sentence.replace("-", "−")
