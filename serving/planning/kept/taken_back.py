"""What a later version takes back of what investigators have: a visit, or the whole plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa

from serving import clock
from serving.access.accounts import Principal
from serving.contract.kept_plan import KeptPlan, KeptVisit, Status
from serving.planning.kept.seen import seen_by
from serving.scores.visible_dealers import Scope
from serving.store.database import Store
from serving.store.tables import PLANS


def dropped_visits(store: Store, scope: Scope, plan: KeptPlan) -> Sequence[KeptVisit]:
    """Return the visits of earlier versions that a version has no more, as they were last.

    They are those that its reader sees: a dealer held from the reader was never in the plan.
    """
    query = sa.select(PLANS.c.document).where(
        PLANS.c.plan_id == plan.plan_id, PLANS.c.version < plan.version
    )
    with store.read() as connection:
        rows = connection.execute(query.order_by(PLANS.c.version)).all()
    found: dict[tuple[str, int], KeptVisit] = {}
    for row in rows:
        before = seen_by(KeptPlan.model_validate_json(bytes(row.document)), scope)
        found |= {(visit.dealer, visit.part): visit for visit in before.visits}
    stands = {(visit.dealer, visit.part) for visit in plan.visits}
    return [visit for key, visit in found.items() if key not in stands]


def was_handed_to(store: Store, principal: Principal, plan_id: str) -> bool:
    """Whether a version of a plan was once with somebody to carry out."""
    query = sa.select(PLANS.c.investigators).where(
        PLANS.c.plan_id == plan_id, PLANS.c.status == "handed_over"
    )
    with store.read() as connection:
        return any(principal.name in row.investigators for row in connection.execute(query))


@dataclass(frozen=True)
class TakenBack:
    """A plan that somebody had to carry out and has not any more.

    Parameters
    ----------
    plan_id, office : str
    starts_on : date
    weeks : int
    status : str
        What it is by now.
    who, at : str
        Who changed it last, and when.
    """

    plan_id: str
    office: str
    starts_on: date
    weeks: int
    status: Status
    who: str
    at: str


def taken_back_from(store: Store, principal: Principal) -> list[TakenBack]:
    """Return the plans taken back from somebody whose weeks are not over, the newest first."""
    newest = (
        sa.select(PLANS.c.plan_id, sa.func.max(PLANS.c.version).label("version"))
        .group_by(PLANS.c.plan_id)
        .subquery()
    )
    is_newest = sa.and_(PLANS.c.plan_id == newest.c.plan_id, PLANS.c.version == newest.c.version)
    query = sa.select(PLANS).join(newest, is_newest).where(PLANS.c.status != "handed_over")
    out = []
    with store.read() as connection:
        rows = connection.execute(query.order_by(PLANS.c.at.desc())).all()
    for row in rows:
        if row.owner == principal.name or not was_handed_to(store, principal, row.plan_id):
            continue
        weeks = KeptPlan.model_validate_json(bytes(row.document)).weeks
        if row.starts_on + timedelta(weeks=weeks) > clock.today():
            out.append(
                TakenBack(
                    row.plan_id, row.office, row.starts_on, weeks, row.status, row.who, row.at
                )
            )
    return out
