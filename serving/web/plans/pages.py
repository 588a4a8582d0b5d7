"""The plan page: hours in, an itinerary out; changes by hand with their cost; kept by a button."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode

import numpy as np
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import QueryParams
from starlette.responses import RedirectResponse, Response

from features.domain.number_words import counted
from serving import clock
from serving.access.audit.writer import subjects
from serving.access.people import inspectors_of, not_known
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.contract.kept_plan import KeptPlan
from serving.errors import ServingError
from serving.lists.to_plan import list_for_plan, listed_dealers, required
from serving.planning import Changed, PlanError, PlanInfeasibleError, Relaxation
from serving.planning.for_caller import Made, first_monday, plan_office
from serving.planning.kept.clashes import named_of
from serving.planning.kept.document import Terms, document, names_of, recalls_missing, said
from serving.planning.kept.files import plan_ics
from serving.planning.kept.moves import moved
from serving.planning.kept.nights import evenings_sentence
from serving.planning.kept.overrides import closed_dealers, marked, overrides
from serving.planning.kept.store import among_others, keep_new, plans_for
from serving.scores.words.area_names import office_label
from serving.web.once import Once
from serving.web.plans.ask import LEAVE_PARTS, MOST_PEOPLE, Ask
from serving.web.plans.from_list import SENTENCE, FromList, from_list
from serving.web.plans.itinerary import RULES as RULE_WORDS
from serving.web.plans.itinerary import difference, for_template, weeks_shown
from serving.web.rendering import page
from serving.web.sealed import error_of, refuse, told_error, told_of
from serving.web.sign_in.visitor import PageRoute, checked_form, may, text

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_FIELD_OF: Final = {
    "hours": "hours", "investigators": "investigators", "random_share": "random_share",
    "coverage": "coverage_share",
}  # fmt: skip


def planned(caller: Caller, ask: Ask) -> tuple[Made, Terms]:
    """Return the plan that is asked for, and on what terms."""
    starts_on = ask.starts_on or first_monday(caller.scope)
    if (n := len(ask.named)) > ask.investigators:
        raise PlanError(
            f"{counted(n, 'name')} for {counted(ask.investigators, 'investigator')}.",
            fix="raise the number of investigators, or take names out",
        )
    terms = Terms(
        office=ask.office,
        investigators=ask.people,
        leave=ask.absences,
        moves=tuple(ask.move),
        with_holidays=ask.holidays,
        owner=caller.principal.name,
    )
    rules = {
        "weeks": ask.weeks,
        "hours_per_week": float(ask.hours),
        "n_investigators": ask.investigators,
        "random_share": ask.random_share,
        "coverage_years": None if ask.coverage_years is None else float(ask.coverage_years),
        "coverage_share": ask.coverage_share,
        "draw": caller.runtime.draw(caller.scope.view.snapshot.as_of),
        "n_workdays": terms.workdays(starts_on, ask.weeks).n_days,
        "later": tuple(sorted(ask.later)),
        "required": _required(caller, ask),
    }
    made = plan_office(
        caller.scope,
        caller.principal,
        ask.office,
        rules=rules,
        home=caller.runtime.settings.home,
        starts_on=starts_on,
        closed=closed_dealers(caller.runtime.store),
    )
    return made, terms


def _required(caller: Caller, ask: Ask) -> tuple[str, ...]:
    """Return the dealers of the list that the plan must hold."""
    if ask.required is None:
        return ()
    document = list_for_plan(caller.runtime, caller.principal, ask.from_list)
    dealers = listed_dealers(caller.runtime, caller.scope.view, document)
    return tuple(required(dealers, ask.required, ask.office))


def proposal(caller: Caller, ask: Ask) -> tuple[Made, KeptPlan, Changed | None]:
    """Return the plan with its changes by hand, as one document that nobody has kept yet."""
    made, terms = planned(caller, ask)
    changed = moved(made, ask.move)
    doc = document(caller.scope.view, made, terms, changed=changed)
    store = caller.runtime.store
    doc = marked(doc, overrides(store))
    return made, among_others(store, caller.principal, caller.scope, doc), changed


@router.get("/plan")
async def show(request: Request, caller: Annotated[Caller, Depends(may("plan"))]) -> Response:
    """Show the form, and the plan when one is asked for."""
    purpose = caller.purpose()
    ask = _asked(caller, request.query_params)
    told = told_of(request.query_params.get("refused", ""), caller.principal, "a plan")
    error: ServingError | None = None if told is None else error_of(told)
    listed = await _listed(caller, ask, purpose)
    if not ask.office:
        return await asyncio.to_thread(_form, request, caller, ask, listed=listed)
    try:
        made, doc, changed = await caller.heavy(proposal, caller, ask)
    except PlanError as fault:
        if not ask.move:
            return await asyncio.to_thread(_form, request, caller, ask, fault, listed=listed)
        # The change cannot be made: the plan as it was before stays, with what is wrong above it.
        error, ask = fault, ask.model_copy(update={"move": ask.move[:-1]})
        try:
            made, doc, changed = await caller.heavy(proposal, caller, ask)
        except PlanError as other:
            return await asyncio.to_thread(_form, request, caller, ask, other, listed=listed)
    await caller.record(subjects({visit.dealer for visit in doc.visits}), purpose=purpose)
    return await asyncio.to_thread(
        lambda: _show(
            request,
            caller,
            ask,
            made=made,
            doc=doc,
            changed=changed,
            error=error,
            note="" if told is None else told["note"],
        )
    )


async def _listed(caller: Caller, ask: Ask, purpose: str) -> FromList | None:
    """Return the list that the plan was opened from, with the record of reading it."""
    if not ask.from_list:
        return None
    listed = await asyncio.to_thread(from_list, caller, ask.from_list, ask.required)
    await caller.record(ask.from_list, purpose=purpose, list_id=ask.from_list)
    return listed


@router.get("/plan.ics")
async def calendar(request: Request, caller: Annotated[Caller, Depends(may("plan"))]) -> Response:
    """Return the plan as a calendar file, changes by hand included."""
    purpose = caller.purpose()
    ask = _asked(caller, request.query_params)
    _, doc, _ = await caller.heavy(proposal, caller, ask)
    await caller.record(subjects({visit.dealer for visit in doc.visits}), purpose=purpose)
    headers = {"Content-Disposition": 'attachment; filename="plan.ics"'}
    return Response(plan_ics(doc), media_type="text/calendar; charset=utf-8", headers=headers)


@router.post("/plans")
async def keep(request: Request, caller: Annotated[Caller, Depends(may("plan"))]) -> Response:
    """Keep a plan as it is shown, changes by hand included."""
    form = await checked_form(request, caller.principal)
    purpose = caller.purpose()
    note, asked = text(form, "note")[:2_000], text(form, "ask")
    sent = Once.of(caller, form)
    if before := await sent.known():
        return RedirectResponse(f"/plans/{before}?done=kept", status_code=303)
    try:
        ask = _asked(caller, QueryParams(parse_qsl(asked)))
        _, doc, _ = await caller.heavy(proposal, caller, ask)
    except PlanError as error:
        fault = error

        async def show() -> Response:
            raise fault

        return await refuse(
            caller.principal, f"/plan?{urlencode(parse_qsl(asked))}",
            told_error(error) | {"note": note}, about="a plan", show=show,
        )  # fmt: skip
    ledger = caller.runtime.ledger(caller.principal, purpose=purpose)
    plan_id = await sent.keep(
        lambda: keep_new(caller.runtime.store, doc, ledger=ledger, note=note).plan_id
    )
    return RedirectResponse(f"/plans/{plan_id}?done=kept", status_code=303)


def _asked(caller: Caller, params: QueryParams) -> Ask:
    """Read a form or an address, its office by the name that the scored table has."""
    ask = _read(params)
    office = caller.scope.view.snapshot.spelling("office", ask.office) if ask.office else ""
    return ask.model_copy(update={"office": office})


def _read(query: QueryParams) -> Ask:
    try:
        return Ask.read(query)
    except ValueError:
        raise PlanError(
            "The plan's form holds something unusable.",
            expected="1 to 26 weeks, 1 to 20 investigators, 8 to 80 hours each",
        ) from None


def _form(
    request: Request,
    caller: Caller,
    ask: Ask,
    error: PlanError | None = None,
    *,
    listed: FromList | None = None,
) -> Response:
    ways = error.relaxations if isinstance(error, PlanInfeasibleError) else ()
    choices = _choices(caller, ask)
    if listed is not None and not ask.office:
        # What a supervisor opens a plan from a list for; another choice is kept.
        update: dict[str, Any] = {"require": ask.require or "mandatory"}
        if listed.office in choices["offices"]:
            update["office"] = listed.office
        choices["ask"] = choices["ask"].model_copy(update=update)
    return page(
        request, "plan.html", title="Plan visits", active="plan", me=caller.principal,
        status=200 if error is None else error.status, error=error,
        relaxations=_offers(caller, ask, ways), plan=None, query="", listed=listed,
        list_sentence=SENTENCE, **choices,
    )  # fmt: skip


def _offers(caller: Caller, ask: Ask, ways: Sequence[Relaxation]) -> list[tuple[str, str]]:
    """Return each way to make a plan possible, in words and as the address that goes it."""
    out = []
    for way in ways:
        if way.rule in {"recalls", "list"}:
            change: dict[str, Any] = {"later": [*ask.later, *way.dealers]}
        else:
            change = {_FIELD_OF[way.rule]: way.to}
        sentence = said(caller.scope.view, [way.sentence], ask.people)[0]
        out.append((sentence, _address(ask, change)))
    return out


def _address(ask: Ask, change: Mapping[str, Any]) -> str:
    return f"/plan?{urlencode(ask.model_copy(update=change).fields)}"


def _shares(offered: Sequence[float], chosen: float) -> list[tuple[float, str]]:
    """Return the shares that a form offers, with the one that is chosen.

    >>> _shares([0.0, 0.1], 0.05)
    [(0.0, 'none'), (0.05, '5%'), (0.1, '10%')]
    """
    shares = sorted({*offered, float(chosen)})
    return [(share, f"{100 * share:.3g}%" if share else "none") for share in shares]


def _choices(caller: Caller, ask: Ask) -> dict[str, Any]:
    scope = caller.scope
    names = names_of(scope.view, ask.later)
    offices = np.unique(scope.view.snapshot.columns["office"][scope.own].astype(str))
    people = inspectors_of(caller.runtime.store, {str(office) for office in offices})
    shown = ask.model_copy(update={"starts_on": ask.starts_on or first_monday(caller.scope)})
    return {
        "offices": [str(office) for office in offices if office],
        "ask": shown,
        "head": scope.view.snapshot.heads[0],
        "people": people[:MOST_PEOPLE],
        "strangers": not_known(caller.runtime.store, named_of(ask.people), ACCESS["plans"]),
        # One that cannot be read is refused where the plan is made, and not offered again.
        "leave_pairs": [
            pair for one in ask.leave if len(pair := one.split("~")) == LEAVE_PARTS and all(pair)
        ],
        "typed_leave": ask.unfinished_leave,
        "left_later": [(dealer, names.get(dealer, dealer)) for dealer in ask.later],
        "shares": [
            (share, f"{text} of the hours" if share else text)
            for share, text in _shares((0.0, 0.05, 0.1, 0.2), ask.random_share)
        ],
        "quotas": _shares((0.05, 0.1, 0.2, 0.5, 1.0), ask.coverage_share),
        "years": sorted({3.0, 5.0, 8.0, 10.0, *filter(None, [ask.coverage_years])}),
        "is_past": shown.starts_on is not None
        and shown.starts_on + timedelta(weeks=1) <= clock.today(),
        "kept": plans_for(caller.runtime.store, caller.principal, scope),
    }


def _show(
    request: Request,
    caller: Caller,
    ask: Ask,
    *,
    made: Made,
    doc: KeptPlan,
    changed: Changed | None,
    error: ServingError | None,
    note: str = "",
) -> Response:
    plan = made.plan
    choices = _choices(caller, ask)
    fields = choices["ask"].fields
    moves = [("move", move) for move in ask.move]
    most = max((cost.yield_lost for cost in plan.costs), default=0.0)
    missing = recalls_missing(doc)
    names = names_of(caller.scope.view, missing)
    evenings = [week.of.evenings for week in weeks_shown(doc)]
    return page(
        request, "plan.html", title=f"Plan for {office_label(ask.office)}", active="plan",
        me=caller.principal, status=200 if error is None else error.status, error=error,
        relaxations=(), plan=plan,
        query=urlencode(fields), file_query=urlencode(fields + moves), fields=fields,
        made_moves=ask.move, moves=urlencode(moves), n_away=sum(one.n_away for one in evenings),
        evenings_note=evenings_sentence(evenings).partition(". ")[2],
        can_wait=[
            (names[dealer], _address(ask, {"later": [*ask.later, dealer]}))
            for dealer in sorted(names)
        ],
        note=note,
        listed=from_list(caller, ask.from_list, ask.required, (doc, plan)), list_sentence=SENTENCE,
        changed=None if changed is None else _change_in_words(caller, ask, made, doc),
        costs=[
            {
                "label": RULE_WORDS.get(cost.rule, cost.rule), "meaning": cost.meaning,
                "yield_lost": cost.yield_lost, "width": 200 * cost.yield_lost / max(most, 1e-9),
            }
            for cost in sorted(plan.costs, key=lambda cost: -cost.yield_lost)
        ],
        free_rules=[
            RULE_WORDS.get(cost.rule, cost.rule).lower()
            for cost in plan.costs
            if cost.yield_lost < 0.005
        ],
        **for_template(
            doc,
            caller.scope.view,
            can_return=[d for d in plan.dealers if d not in {v.dealer for v in doc.visits}],
        ),
        **choices,
    )  # fmt: skip


def _change_in_words(caller: Caller, ask: Ask, made: Made, doc: KeptPlan) -> Mapping[str, Any]:
    """Say what the last change costs, then what all of them do together."""
    last = ask.model_copy(update={"move": ask.move[:-1]})
    _, terms = planned(caller, last)
    before = document(caller.scope.view, made, terms, changed=moved(made, last.move))
    said = {
        "sentence": difference(before, doc, "The last change" if last.move else "It"),
        "together": "",
        "broken": doc.broken,
    }
    if last.move:
        as_made = document(caller.scope.view, made, terms, changed=None)
        said["together"] = difference(as_made, doc, f"All {len(ask.move)} changes together")
    return said
