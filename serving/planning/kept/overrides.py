"""Dealers of a plan overridden on a list, or visited, since: marked wherever it is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa

from features.domain.agency_day import day_of
from features.domain.asof import from_numpy
from serving.contract.field.decisions import OVERRIDE_WORDS
from serving.contract.kept_plan import KeptPlan, KeptVisit
from serving.scores.visible_dealers import View
from serving.store.database import Store
from serving.store.tables import DECISIONS, PLANS
from serving.store.told_visits import last_day, visited_since

_CLOSED: Final = "out_of_business"


@dataclass(frozen=True)
class Override:
    """The newest decision about a dealer, where it is an override.

    Parameters
    ----------
    reason : str
        As coded in `serving.contract.field.decisions`.
    on : date
    """

    reason: str
    on: date

    @property
    def words(self) -> str:
        """Say it as a plan does."""
        return f"overridden {self.on}: {OVERRIDE_WORDS.get(self.reason, self.reason).lower()}"


def overrides(store: Store) -> dict[str, Override]:
    """Return the dealers whose newest decision, on whichever list, is an override."""
    newest = sa.select(sa.func.max(DECISIONS.c.decision_id)).group_by(DECISIONS.c.dealer)
    query = sa.select(DECISIONS.c.dealer, DECISIONS.c.reason, DECISIONS.c.at).where(
        DECISIONS.c.decision_id.in_(newest), DECISIONS.c.decision == "override"
    )
    with store.read() as connection:
        return {
            row.dealer: Override(row.reason, date.fromisoformat(day_of(row.at)))
            for row in connection.execute(query)
        }


def closed_dealers(store: Store) -> frozenset[str]:
    """Return the dealers whose newest decision says that they are out of business."""
    return frozenset(dealer for dealer, one in overrides(store).items() if one.reason == _CLOSED)


@dataclass(frozen=True)
class VisitSince:
    """A visit to a dealer of a plan that the plan, when it was made, did not know of.

    Parameters
    ----------
    on : date
        Its last day as told, or the day on record.
    is_told : bool
        Whether its outcome was told here; else it came with newer records.
    known_to : date
        To which day the records of the plan went.
    """

    on: date
    is_told: bool
    known_to: date

    @property
    def words(self) -> str:
        """Say it as a plan does, without what was found."""
        how = "outcome told" if self.is_told else "on record"
        if self.on < self.known_to:
            return f"visited on {self.on}, {how} since"
        return f"visited since, on {self.on}: {how}"


def visits_since(store: Store, view: View, plan: KeptPlan) -> dict[str, VisitSince]:
    """Return the visits to dealers of a plan that were told, or came on record, since it was made.

    Parameters
    ----------
    plan : KeptPlan
        As the owner of the view sees it. Any version: what counts is when the first was kept.
    """
    dealers = {visit.dealer for visit in plan.visits}
    first = sa.select(sa.func.min(PLANS.c.at)).where(PLANS.c.plan_id == plan.plan_id)
    with store.read() as connection:
        made_at = connection.execute(first).scalar() or plan.at
    known_to = plan.basis.as_of
    out = {
        dealer: VisitSince(date.fromisoformat(last_day(told)), True, known_to)
        for dealer, (told, _) in visited_since(store, dealers, made_at).items()
    }
    for dealer in dealers - out.keys():
        row = view.row(dealer)
        found = view.snapshot.columns["last_inspected_on"]
        on = None if row is None else from_numpy(found[row])
        if on is not None and on >= known_to:
            out[dealer] = VisitSince(on, False, known_to)
    return out


def marked(
    plan: KeptPlan,
    found: Mapping[str, Override],
    visited: Mapping[str, VisitSince] = MappingProxyType({}),
    gone: Collection[str] = (),
) -> KeptPlan:
    """Return a plan whose visits say which dealers were visited since, or overridden and not.

    Parameters
    ----------
    gone : collection of str
        Dealers that the newest table has no more: they stay where they were planned, and say so.
    """

    def words(visit: KeptVisit) -> str:
        one, since = found.get(visit.dealer), visited.get(visit.dealer)
        days = [visit.last_inspected_on, since.on if since else None]
        is_past = one and any(day is not None and day >= one.on for day in days)
        said = (
            since.words if since else "",
            one.words if one and not is_past else "",
            "gone from the newest listing" if visit.dealer in gone else "",
        )
        return "; ".join(filter(None, said))

    visits = [visit.model_copy(update={"override": words(visit)}) for visit in plan.visits]
    return plan.model_copy(update={"visits": visits})
