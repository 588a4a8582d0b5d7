"""The dealers a plan may choose from, checked, in one fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Flags, Floats, Ints
from features.domain.asof import DAYS_A_YEAR
from serving.planning.request import PlanError, PlanRequest, policy
from serving.planning.travel import drive_hours, road_km

COLUMNS = (
    "dealer", "latitude", "longitude", "expected_yield", "hours", "eligible_on", "is_recall_due",
    "unseen_days",
)  # fmt: skip


@dataclass(frozen=True)
class Candidates:
    """The dealers a plan may choose from, as columns in one fixed order (by dealer key).

    Only dealers that can be planned at all are here: a place is known, the first day on which the
    law allows a visit lies in the plan, and the visit fits the weeks that are left.

    Parameters
    ----------
    dealer : array of str, shape (n,)
    latitude, longitude : array, shape (n,), degrees
    expected_yield : array, shape (n,), not negative
        What a visit is worth, usually the calibrated probability of a severe finding.
    hours : array, shape (n,), positive
        Expected hours on site.
    way_hours : array, shape (n,)
        Hours of driving from the office, one way.
    first_week : array of int, shape (n,)
        First week, from 0, that begins on or after the day of eligibility.
    is_recall_due, is_overdue, is_listed : array of bool, shape (n,)
        Due for recall, unseen for too long, required from a list.
    set_aside : mapping of str to int
        How many candidates were left out, by reason.
    recalls_aside : mapping of str to str
        Why a recall due that the law would allow was left out, by dealer.
    listed_aside : mapping of str to str
        Why a dealer required from a list was left out, by dealer.
    """

    dealer: npt.NDArray[np.object_]
    latitude: Floats
    longitude: Floats
    expected_yield: Floats
    hours: Floats
    way_hours: Floats
    first_week: Ints
    is_recall_due: Flags
    is_overdue: Flags
    is_listed: Flags
    set_aside: Mapping[str, int]
    recalls_aside: Mapping[str, str]
    listed_aside: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.dealer)


def read_candidates(frame: pd.DataFrame, request: PlanRequest) -> Candidates:
    """Check a table of candidates and leave out those that this plan cannot visit.

    Parameters
    ----------
    frame : DataFrame
        Columns dealer, latitude, longitude, expected_yield, hours, eligible_on (the first day a
        visit is lawful), is_recall_due, unseen_days (as of the first day of the plan).

    Raises
    ------
    PlanError
        When a column is missing, a dealer occurs twice, a yield or an hour is not usable, or one
        left to a later plan is not due for recall.
    """
    _check(frame)
    frame = frame.sort_values("dealer", ignore_index=True)
    wait = (pd.to_datetime(frame["eligible_on"]) - pd.Timestamp(request.starts_on)).dt.days
    first_week = np.maximum(np.ceil(wait.to_numpy(np.float64) / 7.0), 0.0)
    hours = np.minimum(frame["hours"].to_numpy(np.float64), policy()["visit_hours_longest"])
    has_place = frame[["latitude", "longitude"]].notna().all(axis=1).to_numpy()
    is_lawful = first_week < request.weeks
    way = _way_hours(frame, request)
    week = np.minimum(first_week, request.weeks - 1).astype(np.int64)
    # What one investigator has left there in the longest week that the law and holidays leave.
    on_site = request.longest_from()[week] - 2.0 * way
    is_near = ~has_place | (on_site >= np.minimum(hours, 0.25 * request.hours_per_week))
    n_parts = np.ceil(hours / np.maximum(np.nan_to_num(on_site), 1.0))
    weeks_left = np.maximum(request.weeks - first_week, 0)
    fits = n_parts <= request.n_investigators * weeks_left
    is_later = _later(frame, request, is_lawful=is_lawful)
    keep = has_place & is_lawful & is_near & fits & ~is_later
    horizon = request.weeks * 7
    limit = np.inf if request.coverage_years is None else request.coverage_years * DAYS_A_YEAR
    kept = frame[keep]
    reasons = np.select(
        [is_later, ~has_place, ~is_lawful, ~is_near],
        [
            "left to a later plan by hand",
            "no place known",
            "not eligible in these weeks",
            "too far to drive in a week",
        ],
        default="longer than the weeks left",
    )
    stays = has_place & is_lawful & ~is_later
    is_listed = frame["dealer"].isin(request.required).to_numpy()
    aside = frame["is_recall_due"].to_numpy(bool) & is_lawful & ~keep
    unlisted = sorted(set(request.required) - set(frame["dealer"]))
    return Candidates(
        dealer=kept["dealer"].to_numpy(object),
        latitude=kept["latitude"].to_numpy(np.float64),
        longitude=kept["longitude"].to_numpy(np.float64),
        expected_yield=kept["expected_yield"].to_numpy(np.float64),
        hours=hours[keep],
        way_hours=way[keep],
        first_week=first_week[keep].astype(np.int64),
        is_recall_due=kept["is_recall_due"].to_numpy(bool),
        is_overdue=kept["unseen_days"].to_numpy(np.float64) + horizon > limit,
        set_aside={
            "no place known": int((~is_later & ~has_place).sum()),
            "not eligible in these weeks": int((has_place & ~is_lawful).sum()),
            "too far to drive in a week": int((stays & ~is_near).sum()),
            "longer than the weeks left": int((stays & is_near & ~fits).sum()),
        }
        | ({"left to a later plan by hand": int(is_later.sum())} if is_later.any() else {}),
        recalls_aside={
            str(dealer): str(reason)
            for dealer, reason in zip(frame.loc[aside, "dealer"], reasons[aside], strict=True)
        },
        is_listed=is_listed[keep],
        listed_aside=dict.fromkeys(unlisted, "not among the office's dealers now")
        | {str(frame["dealer"][i]): str(reasons[i]) for i in np.flatnonzero(is_listed & ~keep)},
    )


def _later(frame: pd.DataFrame, request: PlanRequest, *, is_lawful: Flags) -> Flags:
    """Return which dealers are left to a later plan, shape (n,)."""
    is_due = frame["is_recall_due"].to_numpy(bool) & is_lawful
    strangers = sorted(set(request.later) - set(frame["dealer"][is_due]) - set(request.required))
    if strangers:
        raise PlanError(
            "A dealer left to a later plan is not due for recall in these weeks.",
            found=", ".join(strangers),
            expected="dealers of the office that are due for recall, or required from the list",
            fix="take it off: only these are in a plan whatever else is",
        )
    return frame["dealer"].isin(request.later).to_numpy()


@dataclass(frozen=True)
class Standing:
    """A dealer that a plan visits and that could not be chosen any more, as it was planned.

    Parameters
    ----------
    dealer : str
    latitude, longitude : float
    expected_yield, hours : float
    """

    dealer: str
    latitude: float
    longitude: float
    expected_yield: float
    hours: float


def with_standing(
    candidates: Candidates, standing: Sequence[Standing], request: PlanRequest
) -> Candidates:
    """Return the candidates and, after them, what stands in a plan without being one any more."""
    if not standing:
        return candidates
    frame = pd.DataFrame([vars(one) for one in standing])
    n = len(frame)
    more = {name: frame[name].to_numpy(np.float64) for name in _OF_STANDING}
    return replace(
        candidates,
        dealer=np.r_[candidates.dealer, frame["dealer"].to_numpy(object)],
        way_hours=np.r_[candidates.way_hours, _way_hours(frame, request)],
        first_week=np.r_[candidates.first_week, np.zeros(n, dtype=np.int64)],
        is_recall_due=np.r_[candidates.is_recall_due, np.zeros(n, dtype=bool)],
        is_overdue=np.r_[candidates.is_overdue, np.zeros(n, dtype=bool)],
        is_listed=np.r_[candidates.is_listed, np.zeros(n, dtype=bool)],
        **{name: np.r_[getattr(candidates, name), values] for name, values in more.items()},
    )


_OF_STANDING = ("latitude", "longitude", "expected_yield", "hours")


def _check(frame: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise PlanError(
            "The table of candidates lacks columns.",
            found=", ".join(map(str, frame.columns)),
            expected=", ".join(COLUMNS),
        )
    if frame["dealer"].duplicated().any():
        twice = frame.loc[frame["dealer"].duplicated(), "dealer"].iloc[0]
        raise PlanError("A dealer occurs twice among the candidates.", found=str(twice))
    gain, hours = frame["expected_yield"], frame["hours"]
    if not (np.isfinite(gain).all() and (gain >= 0).all()):
        raise PlanError("An expected yield is missing or negative.", expected="0 or more")
    if not (np.isfinite(hours).all() and (hours > 0).all()):
        raise PlanError("A visit's hours are missing or not positive.", expected="more than 0")
    if frame["eligible_on"].isna().any():
        raise PlanError("A candidate has no day of eligibility.", expected="a date in eligible_on")


def _way_hours(frame: pd.DataFrame, request: PlanRequest) -> Floats:
    km = road_km(
        frame["latitude"].to_numpy(np.float64),
        frame["longitude"].to_numpy(np.float64),
        to_latitude=request.latitude,
        to_longitude=request.longitude,
    )
    return drive_hours(km)
