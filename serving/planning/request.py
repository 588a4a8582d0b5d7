"""What a plan is asked for: the office, its hours, its rules, and the dealers to choose from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from pydantic import ValidationError

from features.arrays import Floats
from models.order.random_share import Draw
from serving.contract.plan import RULES, PlanRules, StartPoint
from serving.errors import InvalidRequestError

_DAYS: Final = 5


class PlanError(InvalidRequestError):
    """A plan that cannot be asked for in this form."""

    code = "invalid_plan"


@cache
def policy() -> Mapping[str, float]:
    """Return the planner's settings by name, from ``policy.toml`` beside this module."""
    text = resources.files(__package__).joinpath("policy.toml").read_text(encoding="utf-8")
    values = {name: float(entry["value"]) for name, entry in tomllib.loads(text).items()}
    return MappingProxyType(values)


@dataclass(frozen=True)
class PlanRequest:
    """An office, its hours and its rules.

    Parameters
    ----------
    latitude, longitude : float
        Where each investigator's week starts and ends, in degrees.
    starts_on : date
        First day of the first week.
    weeks : int
        Number of weeks.
    hours_per_week : float
        Hours of one investigator in one week for visits and the driving between them.
    n_investigators : int
        Number of investigators.
    random_share : float
        Share of the hours, in expectation, that goes to dealers drawn at random.
    coverage_years : float, optional
        A dealer unseen for longer than this by the end of the plan is overdue. None: no quota.
    coverage_share : float
        Share of the overdue dealers that the plan must visit.
    seed : int
        Seeds the router: the same request and candidates give the same plan.
    office : str
        Whose plan it is.
    start : str
        What the start is, in words.
    draw : Draw, optional
        The office's random draw of the period; made from `seed` when absent.
    n_workdays : tuple of tuple of int
        Working days, of five, by week and investigator; five each when empty. A week has its share
        of the hours.
    later : tuple of str
        Recalls due, and dealers of `required`, that are left to a later plan.
    required : tuple of str
        Dealers that must be in it because a list says so; which of them cannot be is told.

    Raises
    ------
    PlanError
        When a value is out of the bounds of `serving.contract.plan.PlanRules`.
    """

    latitude: float
    longitude: float
    starts_on: date
    weeks: int = RULES["weeks"].default
    hours_per_week: float = RULES["hours_per_week"].default
    n_investigators: int = RULES["n_investigators"].default
    random_share: float = RULES["random_share"].default
    coverage_years: float | None = RULES["coverage_years"].default
    coverage_share: float = RULES["coverage_share"].default
    seed: int = RULES["seed"].default
    office: str = ""
    start: str = ""
    draw: Draw | None = None
    n_workdays: tuple[tuple[int, ...], ...] = ()
    later: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            StartPoint(latitude=self.latitude, longitude=self.longitude)
            PlanRules(**{name: getattr(self, name) for name in RULES})
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise PlanError(
                f"{fault['loc'][0]} is out of range.",
                found=str(fault["input"]),
                expected=str(fault["msg"]).removeprefix("Input should be "),
            ) from error

    @property
    def week_hours(self) -> float:
        """Hours of the whole office in one week."""
        return self.hours_per_week * self.n_investigators

    @property
    def total_hours(self) -> float:
        """Hours of the whole office in the whole plan."""
        return float(self.week_hours * self.weeks - self.hours_off().sum())

    def hours_in(self, week: int, investigator: int) -> float:
        """Return the hours of one investigator in one week, both counted from 0."""
        known = self.n_workdays[week] if week < len(self.n_workdays) else ()
        days = known[investigator] if investigator < len(known) else _DAYS
        return self.hours_per_week * min(days, _DAYS) / _DAYS

    def longest_from(self) -> Floats:
        """Return the longest week that anybody has from each week on, shape (weeks,).

        Where nobody works at all it is a whole week: that nothing fits is said by the hours.
        """
        people = range(self.n_investigators)
        longest = [max(self.hours_in(week, p) for p in people) for week in range(self.weeks)]
        best = np.maximum.accumulate(np.array(longest[::-1]))[::-1]
        return np.where(best > 0, best, self.hours_per_week)

    def hours_off(self) -> Floats:
        """Return the hours that holidays and leave take from each week, shape (weeks,)."""
        people = range(self.n_investigators)
        return np.array(
            [
                self.week_hours - sum(self.hours_in(week, person) for person in people)
                for week in range(self.weeks)
            ]
        )

    def week_starts_on(self, week: int) -> date:
        """Return the first day of week `week`, counted from 0."""
        return self.starts_on + timedelta(weeks=week)


def expected_hours(sales_1y: pd.Series[float]) -> pd.Series[float]:
    """Return the expected hours of a visit from the sales of the last year.

    A dealer whose sales are unknown gets the typical figure of the policy. The law is an
    assumption, stated in ``policy.toml``; no official hours per inspection are published.

    >>> expected_hours(pd.Series([0.0, 1000.0, float("nan")])).tolist()
    [8.0, 28.0, 24.0]
    """
    rule = policy()
    hours = rule["visit_hours_base"] + rule["visit_hours_per_sale"] * sales_1y
    hours = hours.fillna(rule["visit_hours_typical"])
    return hours.clip(upper=rule["visit_hours_longest"])
