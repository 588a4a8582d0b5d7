"""Dealers of a plan that somebody has overridden on a list: marked wherever the plan is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from serving.contract.field import OVERRIDE_WORDS
from serving.contract.kept_plan import KeptPlan, KeptVisit
from serving.store.database import Store
from serving.store.tables import DECISIONS

_CLOSED = "out_of_business"


@dataclass(frozen=True)
class Override:
    """The newest decision about a dealer, where it is an override.

    Parameters
    ----------
    reason : str
        As coded in `serving.contract.field`.
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
            row.dealer: Override(row.reason, date.fromisoformat(row.at[:10]))
            for row in connection.execute(query)
        }


def closed_dealers(store: Store) -> frozenset[str]:
    """Return the dealers whose newest decision says that they are out of business."""
    return frozenset(dealer for dealer, one in overrides(store).items() if one.reason == _CLOSED)


def marked(plan: KeptPlan, found: Mapping[str, Override]) -> KeptPlan:
    """Return a plan whose visits say which dealers were overridden, and not visited since."""

    def words(visit: KeptVisit) -> str:
        one = found.get(visit.dealer)
        is_past = one and visit.last_inspected_on and visit.last_inspected_on >= one.on
        return one.words if one and not is_past else ""

    visits = [visit.model_copy(update={"override": words(visit)}) for visit in plan.visits]
    return plan.model_copy(update={"visits": visits})
