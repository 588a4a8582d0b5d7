"""Dealers of a plan that another plan of the same weeks holds, or that are with somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import sqlalchemy as sa

from features.domain.agency_day import day_of
from features.domain.number_words import counted
from serving.access.accounts import Principal
from serving.access.roles import LEADS, OVERSEES
from serving.contract.kept_plan import STATUS_WORDS, AlsoIn, KeptPlan, KeptVisit
from serving.contract.plan import most
from serving.scores.visible_dealers import Scope
from serving.store.database import Store
from serving.store.tables import ASSIGNMENTS, LISTS, OUTCOMES


def overlap(a: KeptPlan | AlsoIn, starts_on: date, weeks: int) -> bool:
    """Whether a plan and other weeks have a day in common."""
    ends_on = a.starts_on + timedelta(weeks=a.weeks)
    return a.starts_on < starts_on + timedelta(weeks=weeks) and starts_on < ends_on


def first_days(plan: KeptPlan) -> tuple[date, date]:
    """Return between which days a plan starts whose weeks can overlap those of this one."""
    longest = timedelta(weeks=most("weeks"))
    return plan.starts_on - longest, plan.starts_on + timedelta(weeks=plan.weeks)


def shared(plan: KeptPlan, others: Sequence[KeptPlan]) -> list[AlsoIn]:
    """Return the other plans of the same weeks that hold dealers of a plan, the soonest first.

    Parameters
    ----------
    others : sequence of KeptPlan
        As the plan's reader sees them: a dealer held from the reader is in none.
    """
    own = {visit.dealer for visit in plan.visits}
    out = []
    for other in others:
        if other.plan_id == plan.plan_id or not overlap(plan, other.starts_on, other.weeks):
            continue
        if dealers := sorted(own & {visit.dealer for visit in other.visits}):
            out.append(
                AlsoIn(
                    plan_id=other.plan_id, status=other.status, starts_on=other.starts_on,
                    weeks=other.weeks, investigators=other.investigators, dealers=dealers,
                )
            )  # fmt: skip
    return sorted(out, key=lambda one: (one.starts_on, one.plan_id))


def handed(store: Store, principal: Principal, scope: Scope, plan: KeptPlan) -> dict[str, str]:
    """Return with whom dealers of a plan are, handed over on a list and not visited since.

    A supervisor knows it of every dealer of the area; others where they own the list, handed the
    dealer over or have it themselves.
    """
    dealers = {visit.dealer for visit in plan.visits}
    newest = sa.select(sa.func.max(ASSIGNMENTS.c.assignment_id)).group_by(ASSIGNMENTS.c.dealer)
    newest = newest.where(ASSIGNMENTS.c.dealer.in_(dealers))
    query = (
        sa.select(ASSIGNMENTS, LISTS.c.owner)
        .join(LISTS, LISTS.c.list_id == ASSIGNMENTS.c.list_id)
        .where(ASSIGNMENTS.c.assignment_id.in_(newest))
    )
    told = sa.select(OUTCOMES.c.dealer, sa.func.max(OUTCOMES.c.at).label("at"))
    told = told.where(OUTCOMES.c.dealer.in_(dealers)).group_by(OUTCOMES.c.dealer)
    with store.read() as connection:
        rows = connection.execute(query).all()
        told_at = {row.dealer: row.at for row in connection.execute(told)}

    def is_over(place: int) -> bool:
        return principal.role in OVERSEES or (principal.role in LEADS and bool(scope.own[place]))

    return {
        row.dealer: f"with {row.to} since {day_of(row.at)}, handed over on a list"
        for row in rows
        if told_at.get(row.dealer, "") < row.at
        and (place := scope.view.row(row.dealer)) is not None
        and (is_over(place) or principal.name in {row.owner, row.to, row.who})
    }


def with_others(
    plan: KeptPlan, also_in: Sequence[AlsoIn], with_whom: Mapping[str, str]
) -> KeptPlan:
    """Return a plan that says of itself and of each visit what else holds its dealers."""

    def words(visit: KeptVisit) -> str:
        said = [
            f"also in plan {one.plan_id}, {STATUS_WORDS[one.status]}"
            for one in also_in
            if visit.dealer in one.dealers
        ]
        return "; ".join(filter(None, [*said, with_whom.get(visit.dealer, "")]))

    visits = [visit.model_copy(update={"elsewhere": words(visit)}) for visit in plan.visits]
    return plan.model_copy(update={"visits": visits, "also_in": list(also_in)})


def without_others(plan: KeptPlan) -> KeptPlan:
    """Return a plan as it is kept: what else holds its dealers is read anew by each reader."""
    return with_others(plan, (), {})


def also_sentence(one: AlsoIn) -> str:
    """Say that another plan holds dealers of this one.

    >>> also_sentence(AlsoIn(plan_id="P-20260101-000000000002", status="handed_over", weeks=2,
    ...     starts_on=date(2026, 1, 12), investigators=["maria"], dealers=["a", "b"]))
    '2 dealers are also in plan P-20260101-000000000002, handed over, of 2 weeks from 2026-01-12.'
    """
    n = len(one.dealers)
    return (
        f"{counted(n, 'dealer')} {'is' if n == 1 else 'are'} also in plan {one.plan_id},"
        f" {STATUS_WORDS[one.status]}, of {counted(one.weeks, 'week')} from {one.starts_on}."
    )
