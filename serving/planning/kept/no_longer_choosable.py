"""Dealers of a kept plan that could not be chosen any more: they stay, or are left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from math import isfinite

import pandas as pd

from serving.contract.kept_plan import KeptPlan, KeptVisit
from serving.planning.candidates import Standing, read_candidates
from serving.planning.change import Placed
from serving.planning.request import PlanError, PlanRequest


def standing_of(
    plan: KeptPlan, table: pd.DataFrame, request: PlanRequest, *, placed: Sequence[Placed]
) -> dict[str, Standing]:
    """Return the placed dealers of a plan that are no candidates any more, as they were planned.

    Raises
    ------
    PlanError
        When one of them is moved.
    """
    candidates = set(read_candidates(table, request).dealer)
    of_plan = {visit.dealer for visit in plan.visits}
    gone = {place.dealer for place in placed if place.dealer not in candidates} & of_plan
    moved = next((p.dealer for p in placed if p.is_moved and p.dealer in gone), None)
    if moved is not None:
        raise PlanError(
            f"{moved} can be visited no more under this plan, in no week of it.",
            fix="leave it out, or keep it where it stands",
        )
    return {dealer: _standing(plan, dealer) for dealer in sorted(gone)}


def _standing(plan: KeptPlan, dealer: str) -> Standing:
    parts = [visit for visit in plan.visits if visit.dealer == dealer]
    one, hours = parts[0], sum(part.hours for part in parts)
    return Standing(dealer, one.latitude, one.longitude, one.expected_yield, hours)


def not_lawful(table: pd.DataFrame, dealers: Collection[str], plan: KeptPlan) -> list[str]:
    """Say of dealers that stand in a plan why they are not to be visited under it."""
    ends_on = pd.Timestamp(plan.starts_on + timedelta(weeks=plan.weeks))
    from_on = dict(zip(table["dealer"], pd.to_datetime(table["eligible_on"]), strict=True))
    return [
        f"{dealer} may lawfully be visited from {from_on[dealer].date()} on, after this plan:"
        " leave it out."
        if dealer in from_on and from_on[dealer] >= ends_on
        else f"{dealer} can be visited no more under this plan: leave it out."
        for dealer in sorted(dealers)
    ]


def at_places(visits: Sequence[KeptVisit], standing: Mapping[str, Standing]) -> list[KeptVisit]:
    """Return the visits, those whose place is known no more where they were planned."""
    return [
        visit
        if isfinite(visit.latitude) and isfinite(visit.longitude)
        else visit.model_copy(
            update={
                "latitude": standing[visit.dealer].latitude,
                "longitude": standing[visit.dealer].longitude,
            }
        )
        for visit in visits
    ]
