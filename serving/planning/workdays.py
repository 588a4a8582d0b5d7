"""The days an office works: no weekend, no federal holiday, nobody's leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from serving.planning.request import PlanRequest, policy

DAYS_A_WEEK = 5


@dataclass(frozen=True)
class Leave:
    """Days on which one investigator is away, both ends included.

    Parameters
    ----------
    investigator : int
        Counted from 1.
    """

    investigator: int
    first_on: date
    last_on: date


@dataclass(frozen=True)
class Workdays:
    """The days of a plan that can be worked on.

    Parameters
    ----------
    days : tuple of tuple of tuple of date
        By week and investigator, both from 0.
    holidays : tuple of (date, str)
        Federal holidays on weekdays of the plan.
    """

    days: tuple[tuple[tuple[date, ...], ...], ...]
    holidays: tuple[tuple[date, str], ...]

    @property
    def n_days(self) -> tuple[tuple[int, ...], ...]:
        """Number of working days by week and investigator, as a `PlanRequest` takes it."""
        return tuple(tuple(len(days) for days in week) for week in self.days)


def workdays(
    starts_on: date,
    *,
    weeks: int,
    n_investigators: int,
    leave: Sequence[Leave] = (),
    with_holidays: bool = True,
) -> Workdays:
    """Return the working days of each investigator's weeks.

    >>> workdays(date(2026, 1, 19), weeks=1, n_investigators=1).n_days
    ((4,),)
    """
    all_days = [starts_on + timedelta(days=n) for n in range(7 * weeks)]
    free = federal_holidays(all_days[0], all_days[-1]) if with_holidays else {}
    away = {
        (one.investigator, day)
        for one in leave
        for day in all_days
        if one.first_on <= day <= one.last_on
    }
    days = tuple(
        tuple(
            tuple(
                day
                for day in all_days[7 * week : 7 * week + 7]
                if day.weekday() < DAYS_A_WEEK and day not in free and (person, day) not in away
            )
            for person in range(1, n_investigators + 1)
        )
        for week in range(weeks)
    )
    return Workdays(days, tuple(sorted((d, n) for d, n in free.items() if d.weekday() < 5)))


def federal_holidays(first: date, last: date) -> dict[date, str]:
    """Return the federal holidays between two days, both included, with their names.

    >>> federal_holidays(date(2026, 7, 1), date(2026, 7, 5))[date(2026, 7, 3)]
    'Independence Day (observed)'
    """
    from holidays import country_holidays

    known = country_holidays("US", years=range(first.year, last.year + 1))
    return {day: str(name) for day, name in known.items() if first <= day <= last}


def day_hours(request: PlanRequest) -> float:
    """Return the hours of a working day: those of the policy, or a fifth of a longer week."""
    return max(policy()["hours_per_day"], request.hours_per_week / DAYS_A_WEEK)


def days_on_site(
    starts_after_hours: float, hours: float, days: Sequence[date], request: PlanRequest
) -> tuple[date, date]:
    """Return the first and last day of a visit within an investigator's working days of a week.

    A day has the hours of the policy, or a fifth of a longer week. Without a working day the whole
    week is given: such a visit is said to break the plan.
    """
    if not days:
        raise ValueError("a visit needs a working day")
    day = day_hours(request)
    most = len(days) - 1
    first = min(int((starts_after_hours + 1e-9) // day), most)
    last = min(int(max(starts_after_hours + hours - 1e-6, 0) // day), most)
    return days[first], days[max(first, last)]
