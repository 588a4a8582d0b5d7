"""Plans in the store: append-only versions, and who may see which."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final, TypedDict

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.exc import IntegrityError

from features.domain.agency_day import day_of
from serving import clock
from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger, subjects
from serving.access.roles import LEADS, OVERSEES
from serving.contract.kept_plan import STATUS_WORDS, KeptPlan, PlanSummary, Status
from serving.errors import ConflictError, UnknownPlanError
from serving.planning.kept.elsewhere import (
    first_days,
    handed,
    shared,
    with_others,
    without_others,
)
from serving.planning.kept.overrides import closed_dealers, marked, overrides, visits_since
from serving.planning.kept.seen import recounted, seen_by, with_unseen
from serving.planning.kept.taken_back import was_handed_to
from serving.scores.visible_dealers import Scope
from serving.store import journal
from serving.store.database import Store, instant
from serving.store.result_pages import AT_ONCE, cursor_of, page, place_of
from serving.store.rows import picked
from serving.store.tables import PLANS

_MOST_PLANS: Final = 100
_NO_PLAN: Final = "There is no such plan, or it is not yours."
# From what each status may be reached.
_BEFORE: Final[Mapping[Status, frozenset[Status]]] = {
    "approved": frozenset({"draft"}),
    "handed_over": frozenset({"approved"}),
    "withdrawn": frozenset({"draft", "approved", "handed_over"}),
}
_HANDED: Final = frozenset({"handed_over"})


def keep_new(store: Store, plan: KeptPlan, *, ledger: Ledger, note: str = "") -> KeptPlan:
    """Keep a plan as version 1, with the record of it, and return it with its id."""
    who = ledger.base.who
    now = clock.now()
    changes = {
        "plan_id": f"P-{clock.today():%Y%m%d}-{secrets.token_hex(6)}",
        "version": 1,
        "status": "draft",
        "owner": who,
        "who": who,
        "at": instant(now),
        "note": note,
    }
    kept = plan.model_copy(update=changes)
    _insert(store, kept, ledger, f"keep {kept.plan_id} {_dealers(plan)}")
    return kept


def keep_version(
    store: Store, plan: KeptPlan, *, before: int, ledger: Ledger, done: str, scope: Scope
) -> KeptPlan:
    """Keep a changed plan as the version after `before`, with the record of what was done.

    The plan is what the caller made of what they see of it. What is held from the caller stays in
    the plan as it was: whom it is not held from must not lose it by another's change.

    Raises
    ------
    ConflictError
        When somebody else has changed it meanwhile.
    """
    changes = {"version": before + 1, "who": ledger.base.who, "at": instant()}
    whole = _whole(_row(store, plan.plan_id, before))
    kept = with_unseen(plan, whole, scope).model_copy(update=changes)
    try:
        _insert(store, kept, ledger, f"{done} {kept.plan_id} {_dealers(plan)}")
    except IntegrityError:
        raise ConflictError(
            "Somebody else has changed this plan meanwhile.",
            found=f"version {before + 1} is there",
            fix="look at the newest version, then change that",
        ) from None
    return seen_by(kept, scope)


def with_status(plan: KeptPlan, status: Status) -> KeptPlan:
    """Return a plan in another status.

    Raises
    ------
    ConflictError
        When it cannot come to that status from where it is, or breaks a rule.
    """
    if plan.status not in _BEFORE.get(status, frozenset()):
        raise ConflictError(
            f"A plan that is {plan.status.replace('_', ' ')} cannot become"
            f" {status.replace('_', ' ')}.",
            expected=" or ".join(sorted(s.replace("_", " ") for s in _BEFORE.get(status, ()))),
        )
    if status == "approved" and not plan.visits:
        raise ConflictError("A plan without a visit cannot be approved.", fix="make another plan")
    if status == "approved" and plan.broken:
        raise ConflictError(
            "A plan that breaks a rule cannot be approved.",
            found=plan.broken[0],
            fix="move, leave out or put back the visits named, then approve",
        )
    return plan.model_copy(update={"status": status})


def _dealers(plan: KeptPlan) -> str:
    return subjects({visit.dealer for visit in plan.visits})


def _insert(store: Store, plan: KeptPlan, ledger: Ledger, subject: str) -> None:
    content = to_json(without_others(plan))
    row = {
        "plan_id": plan.plan_id,
        "version": plan.version,
        "office": plan.office,
        "starts_on": plan.starts_on,
        "status": plan.status,
        "owner": plan.owner,
        "who": plan.who,
        "at": plan.at,
        "investigators": plan.investigators,
        "document": content,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with store.write() as connection:
        connection.execute(PLANS.insert(), row)
        journal.note_key(connection, plan.plan_id)
        ledger.add(
            connection, "plan", subject, kept=kept_now(connection, "plan", str(row["sha256"]))
        )


def readable_plan(
    store: Store, principal: Principal, scope: Scope, plan_id: str, version: int | None = None
) -> KeptPlan:
    """Return a version of a plan, by default the newest, as the caller may see it.

    Raises
    ------
    UnknownPlanError
        When there is none, or it is not the caller's to see; the two are alike.
    """
    row = _row(store, plan_id, version)
    if row is None:
        raise UnknownPlanError(_NO_PLAN)
    if not _may_see(principal, scope, row._mapping):
        _check_withdrawn(store, principal, row, is_newest=version is None)
    plan = recounted(seen_by(_whole(row), scope), scope.view, closed_dealers(store))
    view = scope.view
    gone = {visit.dealer for visit in plan.visits if view.is_gone(visit.dealer)}
    plan = marked(plan, overrides(store), visits_since(store, view, plan), gone)
    return among_others(store, principal, scope, plan)


def _check_withdrawn(
    store: Store, principal: Principal, row: sa.Row[Any], *, is_newest: bool
) -> None:
    """Let whoever had to carry a plan out see that it is withdrawn, and say that it is changed.

    Paper and calendar of it are in their hands; what is changed is not theirs before it is handed
    over again.
    """
    if not was_handed_to(store, principal, row.plan_id):
        raise UnknownPlanError(_NO_PLAN)
    if row.status == "withdrawn":
        return
    if not is_newest:
        raise UnknownPlanError(_NO_PLAN)
    raise UnknownPlanError(
        "This plan was handed over to you and has been taken back to be changed.",
        found=f"{STATUS_WORDS[row.status]} since {day_of(row.at)}, by {row.who}",
        fix="go by no earlier copy of it: it is under Plans again once it is handed over",
    )


def among_others(store: Store, principal: Principal, scope: Scope, plan: KeptPlan) -> KeptPlan:
    """Return a plan that names, by dealer, what else of the same weeks the caller sees of it.

    Plans withdrawn hold nobody any more; one that is withdrawn itself is not compared.
    """
    if plan.status == "withdrawn":
        return plan
    first, last = first_days(plan)
    query = _newest().where(PLANS.c.status != "withdrawn", PLANS.c.plan_id != plan.plan_id)
    query = query.where(PLANS.c.starts_on > first, PLANS.c.starts_on < last)
    with store.read() as connection:
        rows = connection.execute(query).all()
    others = [
        seen_by(_whole(row), scope) for row in rows if _may_see(principal, scope, row._mapping)
    ]
    return with_others(plan, shared(plan, others), handed(store, principal, scope, plan))


def _newest() -> sa.Select[tuple[Any, ...]]:
    """Return the query for the newest version of each plan, and when its first was kept."""
    made = (
        sa.select(
            PLANS.c.plan_id,
            sa.func.max(PLANS.c.version).label("version"),
            sa.func.min(PLANS.c.at).label("made_at"),
        )
        .group_by(PLANS.c.plan_id)
        .subquery()
    )
    is_newest = sa.and_(PLANS.c.plan_id == made.c.plan_id, PLANS.c.version == made.c.version)
    return sa.select(PLANS, made.c.made_at).join(made, is_newest)


def _row(store: Store, plan_id: str, version: int | None) -> sa.Row[Any] | None:
    query = sa.select(PLANS).where(PLANS.c.plan_id == plan_id)
    query = query if version is None else query.where(PLANS.c.version == version)
    with store.read() as connection:
        return connection.execute(query.order_by(PLANS.c.version.desc()).limit(1)).first()


def _whole(row: sa.Row[Any] | None) -> KeptPlan:
    """Return a plan as kept, whoever asks: for keeping a version, never for showing."""
    if row is None:
        raise UnknownPlanError(_NO_PLAN)
    content = bytes(row.document)
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise UnknownPlanError(
            "The plan's bytes are not those that were kept.",
            fix="tell the operator: restore the store from a backup",
        )
    return KeptPlan.model_validate_json(content)


def _may_see(principal: Principal, scope: Scope, row: Mapping[str, Any] | sa.RowMapping) -> bool:
    """Whether it is theirs: its owner's, handed to them, or of an office a supervisor leads."""
    if row["owner"] == principal.name or principal.role in OVERSEES:
        return True
    if principal.role in LEADS:
        return principal.is_national or bool(
            (scope.own & (scope.view.snapshot.columns["office"] == row["office"])).any()
        )
    return principal.name in row["investigators"] and row["status"] in _HANDED


def plans_for(store: Store, principal: Principal, scope: Scope) -> list[PlanSummary]:
    """Return the newest version of each plan that a caller may see, the newest plan first."""
    return plan_page(store, principal, scope, limit=_MOST_PLANS)[0]


def plans_handed_to(store: Store, principal: Principal, scope: Scope) -> list[PlanSummary]:
    """Return the plans that are with somebody to carry out, the newest first."""
    return [
        plan
        for plan in plans_for(store, principal, scope)
        if plan.status in _HANDED and principal.name in plan.investigators
    ]


def plans_with(store: Store, principal: Principal, scope: Scope, dealer: str) -> list[PlanSummary]:
    """Return the plans under way that may have ordered a visit of a dealer, the newest first.

    Not those in which a list put it: that list ordered the visit.
    """
    query = _newest().where(PLANS.c.status.in_(_HANDED)).order_by(PLANS.c.plan_id.desc())
    with store.read() as connection:
        rows = connection.execute(query).all()
    plans = [
        seen_by(_whole(row), scope) for row in rows if _may_see(principal, scope, row._mapping)
    ]
    return [
        summary(plan)
        for plan in plans
        if any(visit.dealer == dealer and visit.why != "list" for visit in plan.visits)
    ]


def plan_page(
    store: Store, principal: Principal, scope: Scope, *, limit: int, cursor: str | None = None
) -> tuple[list[PlanSummary], str | None]:
    """Return a page of the newest versions, and the next page's cursor.

    The order is that in which plans were first kept: a change does not move one to another page.
    """
    query = _newest()
    made_at = query.selected_columns.made_at
    query = query.order_by(made_at.desc(), PLANS.c.plan_id.desc())
    if cursor is not None:
        query = query.where(sa.tuple_(made_at, PLANS.c.plan_id) < place_of(cursor))

    def shown(row: sa.Row[Any]) -> tuple[str, PlanSummary] | None:
        if not _may_see(principal, scope, row._mapping):
            return None
        plan = seen_by(KeptPlan.model_validate_json(bytes(row.document)), scope)
        return row.made_at, summary(plan)

    with store.read() as connection:
        rows = connection.execute(query.execution_options(yield_per=AT_ONCE))
        found, has_more = page(rows, shown, limit)
    last = cursor_of(found[-1][0], found[-1][1].plan_id) if has_more else None
    return [one for _, one in found], last


def summary(plan: KeptPlan) -> PlanSummary:
    """Return what identifies a plan."""
    names = PlanSummary.model_fields.keys() - {"n_dealers"}
    fields = {name: getattr(plan, name) for name in names}
    return PlanSummary(n_dealers=len({visit.dealer for visit in plan.visits}), **fields)


class PlanVersion(TypedDict):
    """Who made a version of a plan, and when."""

    version: int
    status: str
    who: str
    at: str


def versions_of(store: Store, plan_id: str) -> list[PlanVersion]:
    """Return who made each version of a plan, when, in which status, the newest first."""
    columns = (PLANS.c.version, PLANS.c.status, PLANS.c.who, PLANS.c.at)
    query = sa.select(*columns).where(PLANS.c.plan_id == plan_id)
    with store.read() as connection:
        rows = connection.execute(query.order_by(PLANS.c.version.desc()))
        return [picked(PlanVersion, row._mapping) for row in rows]
