"""Every number on the page of a plan, counted again from the dealers and the days."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from html import unescape
from itertools import pairwise
from urllib.parse import urlencode

import pytest

from tests.test_serving.pages import Visitor

START = date(2026, 1, 12)
HOLIDAYS = {date(2026, 1, 19), date(2026, 2, 16)}  # of the weeks planned here
ROAD, SPEED, DAY = 1.417, 70.0, 8.0
_FACTS = re.compile(
    r"(?P<dealers>\d+) dealers? in (?P<weeks>\d+) weeks? Expected findings (?P<findings>[\d.]+)"
    r" .*?Hours (?P<hours>[\d,]+) of (?P<available>[\d,]+); (?P<drive>[\d,]+) of them driving"
    r"(?:\. About (?P<beside>[\d.]+) more for going home in the evenings are not counted"
    r"(?:: with them (?P<over>\d+) weeks? takes? more than the hours there are)?)?"
    r" Nights away (?P<nights>\d+) (?:From within 50 miles \(80 km\) of the start one goes home:"
    r" (?P<evenings>\d+) evenings?, about (?P<more>[\d.]+) hours more driving, which the hours do"
    r" not count\. )?Road (?P<miles>[\d,]+) miles (?P<km>[\d,]+) km"
)
_LEFT = re.compile(
    r"(?P<unused>[\d,]+) of the (?P<of>[\d,]+) hours are not used(?:: the route found no place for"
    r" (?P<left>[\d,]+) more dealers? that may be visited|: every dealer)"
)


def number(text: str) -> float:
    return float(text.replace(",", ""))


def km_between(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, point)) for point in (a, b))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * 6371.0 * math.asin(math.sqrt(half))


def road_km(plan: dict) -> float:
    """Return what all weeks drive: from the office, in the order of the visits, and back."""
    tours: dict[tuple[int, int], list[dict]] = {}
    for visit in sorted(plan["visits"], key=lambda v: v["order"]):
        tours.setdefault((visit["week"], visit["investigator"]), []).append(visit)
    home, total = (plan["latitude"], plan["longitude"]), 0.0
    for visits in tours.values():
        stops = [home, *((v["latitude"], v["longitude"]) for v in visits), home]
        total += sum(map(km_between, stops, stops[1:]))
    return ROAD * total


def spent(plan: dict) -> tuple[int, int, float]:
    """Return nights away, evenings at home and what those drive, walking along each week."""
    home, off = (plan["latitude"], plan["longitude"]), {one["on"] for one in plan["holidays"]}
    day = max(DAY, plan["hours_per_week"] / 5)
    nights, evenings, more = 0, 0, 0.0
    weeks: dict[tuple[int, int], list[dict]] = {}
    for visit in sorted(plan["visits"], key=lambda v: v["order"]):
        weeks.setdefault((visit["week"], visit["investigator"]), []).append(visit)
    for (week, _), visits in weeks.items():
        monday = date.fromisoformat(plan["starts_on"]) + timedelta(weeks=week - 1)
        days = [d for d in (monday + timedelta(days=k) for k in range(5)) if str(d) not in off]
        begun = [visit["starts_after_hours"] for visit in visits]
        ended = [start + visit["hours"] for start, visit in zip(begun, visits, strict=True)]
        spots = [(v["latitude"], v["longitude"]) for v in visits]
        back = ended[-1] + ROAD * km_between(spots[-1], home) / SPEED
        for before, after in pairwise(days):
            at = day * (days.index(before) + 1)
            # Where one is then: the stop nearest in time, home being the last of them.
            away = [max(s - at, at - e, 0.0) for s, e in zip(begun, ended, strict=True)]
            if at >= back or back - at < min(away):
                continue
            spot = spots[away.index(min(away))]
            way = ROAD * km_between(spot, home)
            if way > 80:
                nights += (after - before).days
            else:
                evenings, more = evenings + 1, more + 2 * way / SPEED
    return nights, evenings, more


def available(weeks: int, people: int, hours: float) -> float:
    """Return the hours of the weeks; a holiday takes a day's part of its week."""
    total = 0.0
    for week in range(weeks):
        days = [START + timedelta(weeks=week, days=k) for k in range(5)]
        total += people * hours * sum(day not in HOLIDAYS for day in days) / 5
    return total


@pytest.mark.parametrize(
    ("weeks", "people", "hours", "is_whole"), [(3, 1, 40, False), (8, 6, 80, True)]
)
def test_the_figures_and_the_hours_left_are_those_of_a_recount(
    service, weeks, people, hours, is_whole
):
    ask = {"office": "office0", "weeks": str(weeks), "investigators": str(people),
           "hours": str(hours), "starts_on": str(START)}  # fmt: skip
    visitor = Visitor(service, "supervisor")
    page = visitor.get(f"/plan?{urlencode(ask)}").text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", unescape(page)))
    kept = visitor.post("/plans", {"ask": urlencode(ask)}, at=f"/plan?{urlencode(ask)}")
    plan_id = re.search(r"P-[0-9]{8}-[0-9a-f]{12}", kept.headers["location"])[0]
    plan = service.get(f"/v1/plans/{plan_id}", "supervisor").json()
    planned = {visit["dealer"] for visit in plan["visits"]}
    columns = service.runtime.snapshot.columns
    chance = dict(zip(columns["dealer"], columns["compliance"], strict=True))

    said = _FACTS.search(text)
    assert said, text[:3000]
    assert (int(said["dealers"]), int(said["weeks"])) == (len(planned), weeks)
    findings = sum(float(chance[dealer]) for dealer in planned)
    assert number(said["findings"]) == pytest.approx(findings, abs=0.051)
    km = road_km(plan)
    assert number(said["km"]) == pytest.approx(km, rel=0.01, abs=1)
    assert number(said["miles"]) == pytest.approx(km / 1.609344, rel=0.01, abs=1)
    assert number(said["drive"]) == pytest.approx(km / SPEED, rel=0.01, abs=0.6)
    nights, evenings, more = spent(plan)
    assert evenings > 0
    assert nights > 0 or not is_whole
    assert (int(said["nights"]), int(said["evenings"])) == (nights, evenings)
    assert number(said["more"]) == pytest.approx(more, rel=0.01, abs=0.06)
    assert said["beside"] == said["more"]
    worked = km / SPEED + sum(visit["hours"] for visit in plan["visits"])
    assert number(said["hours"]) == pytest.approx(worked, abs=1)
    of = available(weeks, people, hours)
    assert number(said["available"]) == pytest.approx(of, abs=0.5)

    left = _LEFT.search(text)
    assert left, "much of the hours is free, and the page does not say so"
    assert number(left["unused"]) == pytest.approx(of - worked, abs=1)
    assert left["of"] == said["available"]
    by_hand = ask | {"move": f"{plan['visits'][0]['dealer']}~out"}
    assert "hours are not used" not in visitor.get(f"/plan?{urlencode(by_hand)}").text
    not_planned = re.search(r"Not planned (.*?) Records before", text)[1]
    free = re.search(
        r"(\d+) dealers? that may be visited in these weeks: the hours [a-z, ]+ them", not_planned
    )
    rest = not_planned.replace(free[0], "") if free else not_planned
    set_aside = sum(int(n) for n in re.findall(r"\b(\d+) (?=[a-z])", rest))
    assert (int(free[1]) if free else 0) == (0 if is_whole else int(left["left"]))
    n_office = int((columns["office"] == "office0").sum())
    n_left = n_office - len(planned) - set_aside
    assert (left["left"] is None) is is_whole
    assert n_left == (0 if is_whole else int(left["left"]))
