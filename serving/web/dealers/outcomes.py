"""What an inspection found: a form, a page to check it on, and then it is kept for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from features.domain.agency_day import zone_in_words
from features.domain.number_words import counted
from features.errors import FflRiskError, InvalidValueError
from features.reference.legal.citation import known_citations, normalize
from features.reference.legal.outcome import NAMES
from features.schema import EARLIEST_DAY
from serving import clock
from serving.api.callers import Caller
from serving.api.routes import field as routes
from serving.contract.field.outcomes import OutcomeRequest
from serving.contract.field.recorded import most
from serving.contract.kept_plan import PlanSummary
from serving.errors import LegalGateError, UnknownDealerError, UnknownPlanError
from serving.field.outcomes import outcome_rules
from serving.field.outcomes.inspection_on_record import OnRecord
from serving.planning.kept.store import plans_with
from serving.web.dealers.outcome_check import LABELS, check
from serving.web.dealers.told_again import last_told
from serving.web.rendering import dealer_name, page, upper_first
from serving.web.sealed import MOST, opened, sealed
from serving.web.sign_in.visitor import PageRoute, checked_form, may, text

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_FIELDS: Final = (
    "inspection_id", "kind", "opened_on", "closed_on", "selected_by", "list_id", "plan_id",
    "legal_basis", "hours", "outcome", "recommended_outcome", "firearms_unaccounted_initial",
    "firearms_unaccounted_final",
)  # fmt: skip
_EXPECTED: Final[Mapping[str, str]] = {
    "inspection_id": "Enter the inspection number: letters, digits and . _ : - only, and no word"
    " such as none",
    "opened_on": f"Enter the day it was opened, such as 2026-03-09, not before {EARLIEST_DAY}",
    "closed_on": "Enter a closing day that is not before the opening, or leave it empty",
    "hours": f"Enter hours from 0 to {most('inspections', 'hours'):,}",
    "outcome": "Choose the outcome",
    **{
        name: f"Enter a number of firearms, 0 to {most('inspections', name):,}"
        for name in ("firearms_unaccounted_initial", "firearms_unaccounted_final")
    },
}
_OFFERED: Final = "Choose one of those offered"
_NO_CITATION: Final = (
    "Enter the citation that this line's instances or mark of willful are of, or take them out"
)
# Words of a refusal that is about the days of a visit.
_ABOUT_DAYS: Final = frozenset({"future.", "opened"})
_ON_PAGE: Final = (
    "inspection_id", "kind", "plan_id", "selected_by", "opened_on", "closed_on", "outcome",
    "recommended_outcome", "hours", "firearms_unaccounted_initial", "firearms_unaccounted_final",
    "legal_basis",
)  # fmt: skip
KINDS: Final = ("compliance", "recall", "application", "trace", "criminal", "warrant")
SELECTIONS: Final = (
    "risk", "random", "recall", "complaint", "application", "other", "unknown",
)  # fmt: skip
BASES: Final = ("warrant", "criminal_investigation_of_another", "trace_of_a_firearm")
_LEAST_LINES: Final = 4
_MOST_LINES: Final = 60
_MOST_INSTANCES: Final = most("violations", "instances")


@dataclass
class Filled:
    """A form as it was filled in, with what is wrong at which field.

    Parameters
    ----------
    values : mapping of str to str
    citations : list of (str, bool, str)
        As typed, whether willful, and how many instances.
    errors : dict of str to str
        By field; a citation's are ``citation_N`` and ``instances_N``.
    plans : sequence of PlanSummary
        Those that may have ordered the visit.
    """

    values: Mapping[str, str]
    citations: list[tuple[str, bool, str]]
    errors: dict[str, str] = field(default_factory=dict)
    plans: Sequence[PlanSummary] = ()
    request: OutcomeRequest | None = None


@router.get("/dealers/{dealer}/outcome")
async def ask(
    request: Request,
    dealer: str,
    caller: Annotated[Caller, Depends(may("outcomes"))],
    list_id: Annotated[str, Query(alias="list", max_length=40, pattern="^[A-Za-z0-9-]*$")] = "",
    draft: Annotated[str, Query(max_length=2 * MOST)] = "",
    inspection: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show the empty form, what was told, or a form on its way: to be mended or checked."""
    row = await asyncio.to_thread(_row, caller, dealer)
    await caller.record(row["dealer"], purpose=caller.purpose())
    fields = opened(draft, caller.principal, row["dealer"]) if draft else None
    if fields is None:
        plans = await asyncio.to_thread(_plans_with, caller, row["dealer"], list_id)
        own = [one.plan_id for one in plans if caller.principal.name in one.investigators]
        given = {"list_id": list_id, "plan_id": own[0] if own else ""}
        told = await asyncio.to_thread(
            last_told, caller.runtime.store, row["dealer"], inspection, fields=_FIELDS
        )
        if told is not None:
            return _form(request, caller, row, Filled(*told, plans=plans), is_lost=bool(draft))
        return _form(request, caller, row, Filled(given, [], plans=plans), is_lost=bool(draft))
    return await _answer(request, caller, row, FormData(dict(fields)))


@router.post("/dealers/{dealer}/outcomes")
async def record(
    request: Request, dealer: str, caller: Annotated[Caller, Depends(may("outcomes"))]
) -> Response:
    """Check a form, show it to be checked, or keep it."""
    form = await checked_form(request, caller.principal)
    caller.purpose()  # refused before anything of the form is answered
    row = await asyncio.to_thread(_row, caller, dealer)
    if (text(form, "step") or "save") != "save":
        return await _go_on(request, caller, row, form)
    filled = await asyncio.to_thread(_read, caller, form, row)
    if filled.errors or filled.request is None:
        return await _go_on(request, caller, row, form)
    try:
        await routes.outcome(filled.request, caller)
    except UnknownDealerError:
        raise
    except FflRiskError as error:
        return await _go_on(request, caller, row, form, error)
    list_id = filled.values.get("list_id", "")
    back = f"&list={list_id}" if list_id else ""
    if row["gone"]:
        return RedirectResponse("/work?done=outcome", status_code=303)
    saved = "closed" if filled.request.closed_on else "1"
    return RedirectResponse(f"/dealers/{dealer}?saved={saved}{back}", status_code=303)


async def _go_on(
    request: Request,
    caller: Caller,
    row: Mapping[str, str],
    form: FormData,
    error: FflRiskError | None = None,
) -> Response:
    """Answer a form that is not kept by the address of its next page, or by the page itself."""
    step = text(form, "step") or "save"
    fields = {n: v for n, v in form.multi_items() if n != "csrf" and isinstance(v, str) and v}
    fields["step"] = "check" if step == "save" else step
    if error is not None:
        fields |= {"refused_at": _at(error), "refused_as": _in_words(error)}
        fields |= {"refused_status": str(getattr(error, "status", 422))}
    draft = sealed(list(fields.items()), caller.principal, row["dealer"])
    if len(draft) > MOST:
        await caller.record(row["dealer"], purpose=caller.purpose())
        return await _answer(request, caller, row, FormData(fields))
    return RedirectResponse(f"/dealers/{row['dealer']}/outcome?draft={draft}", status_code=303)


async def _answer(
    request: Request, caller: Caller, row: Mapping[str, str], form: FormData
) -> Response:
    """Show what a form that is not kept yet leads to: more lines, what is wrong, or the check."""
    step = text(form, "step")
    filled = await asyncio.to_thread(_read, caller, form, row)
    if refused_at := text(form, "refused_at"):
        filled.errors.setdefault(refused_at, text(form, "refused_as"))
        status = int(text(form, "refused_status") or 422)
        return _form(request, caller, row, filled, status=status)
    if step == "more":
        filled.errors.clear()
        return _form(request, caller, row, filled, n_more=_LEAST_LINES)
    if step == "edit" or filled.errors or filled.request is None:
        return _form(request, caller, row, filled, status=422 if filled.errors else 200)
    before, kept = await asyncio.to_thread(routes.preview, caller, filled.request)
    name = dealer_name(row)
    return page(
        request, "outcome_check.html", title=f"Check the outcome, {name[:60]}", active="dealers",
        me=caller.principal, row=row, name=name, fields=_again(filled),
        **check(before, kept),
    )  # fmt: skip


def _again(filled: Filled) -> Sequence[tuple[str, str]]:
    """Return the fields of a form, to send it once more."""
    out = [(name, value) for name, value in filled.values.items() if value]
    for n, (cited, is_willful, instances) in enumerate(filled.citations):
        out.append((f"citation_{n}", cited))
        if is_willful:
            out.append((f"willful_{n}", "1"))
        if instances:
            out.append((f"instances_{n}", instances))
    return out


def _at(error: FflRiskError) -> str:
    """Return the field at which a refusal stands."""
    if isinstance(error, UnknownPlanError) or "plan" in error.what:
        return "plan_id"
    if isinstance(error, LegalGateError):
        return "legal_basis"
    return "opened_on" if _ABOUT_DAYS & set(error.what.split()) else "inspection_id"


def _in_words(error: FflRiskError) -> str:
    return f"{error.what} {upper_first(error.expected or error.fix or '')}".strip()


def _row(caller: Caller, dealer: str) -> dict[str, str]:
    """Return what the pages name of whom the visit was to; ``gone`` says that it left."""
    found = routes.inspected_by(caller, dealer, with_names=True)
    gone = "gone from the newest listing" if found.is_gone else ""
    return {"dealer": found.dealer, **found.names, "gone": gone}


def _plans_with(caller: Caller, dealer: str, list_id: str) -> list[PlanSummary]:
    """Return the plans under way that may have ordered a visit; none where a list did."""
    if list_id:
        return []
    return plans_with(caller.runtime.store, caller.principal, caller.scope, dealer)


def _read(caller: Caller, form: FormData, row: Mapping[str, str]) -> Filled:
    """Read a form and say at which field something is wrong."""
    values = {name: text(form, name) for name in _FIELDS}
    plans = _plans_with(caller, row["dealer"], values["list_id"])
    filled = Filled(values, _cited(form), plans=plans)
    violations = []
    for n, (cited, is_willful, instances) in enumerate(filled.citations):
        try:
            known = normalize(cited).text
        except InvalidValueError:
            known = ""
            filled.errors[f"citation_{n}"] = (
                _NO_CITATION
                if not cited
                else (
                    f"{cited[:40]} is not a citation; enter a section such as 478.124(c)(1),"
                    " or choose one that is offered as you type"
                )
            )
        if instances and not (instances.isdecimal() and float(instances) <= _MOST_INSTANCES):
            filled.errors[f"instances_{n}"] = (
                f"Enter how many instances as a whole number, at most {_MOST_INSTANCES:,}"
            )
        if {f"citation_{n}", f"instances_{n}"} & filled.errors.keys():
            continue
        violation = {
            "citation": known,
            "is_willful": is_willful or None,
            "instances": int(instances) if instances else None,
        }
        violations.append(violation)
        if next(one for one in violations if one["citation"] == known) != violation:
            filled.errors[f"citation_{n}"] = (
                f"{known} is entered twice, and not alike; enter it once, with all its instances"
            )
    given: dict[str, Any] = {name: value or None for name, value in values.items()}
    given["kind"] = given["kind"] or "compliance"
    given["selected_by"] = given["selected_by"] or "risk"
    given |= {
        "dealer": row["dealer"],
        "purpose": caller.purpose() or None,
        "violations": violations,
    }
    together = []
    try:
        filled.request = OutcomeRequest.model_validate(given)
    except ValidationError as faults:
        for fault in faults.errors():
            if not fault["loc"]:
                # What two fields say together is told of the one that its sentence begins with.
                together.append(str(fault["ctx"]["error"]).split()[0])
                continue
            name = str(fault["loc"][0])
            filled.errors.setdefault(name, _EXPECTED.get(name, _OFFERED))
    # All that is wrong is said at once: also what does not wait for the other fields.
    _check_dates(filled)
    _check_counts(filled)
    for name in together:
        filled.errors.setdefault(name, _EXPECTED.get(name, _OFFERED))
    _check_cited(filled)
    _check_number(caller, filled, row["dealer"])
    _check_law(caller, filled, given)
    filled.errors = {name: filled.errors[name] for name in _in_order(filled.errors)}
    if filled.request is not None and not filled.errors:
        before, _ = routes.preview(caller, filled.request)
        filled.request = _with_what_is_not_asked(filled.request, before)
    return filled


def _with_what_is_not_asked(asked: OutcomeRequest, before: OnRecord | None) -> OutcomeRequest:
    """Return an outcome with what is on record of its citations and the form has no field for."""
    known = {} if before is None else {v["citation"]: v for v in before.document["violations"]}
    violations = []
    for one in asked.violations:
        told = known.get(one.citation, {})
        was_willful = told.get("is_willful")
        # No mark is no word of it, but where there was a word it is that it was not.
        is_willful = one.is_willful or (None if was_willful is None else False)
        more = {"is_repeat": told.get("is_repeat"), "is_willful": is_willful}
        violations.append(one.model_copy(update=more))
    return asked.model_copy(update={"violations": violations})


def _in_order(errors: Mapping[str, str]) -> list[str]:
    """Return the fields with an error as they follow each other on the page."""
    order = {name: n for n, name in enumerate(_ON_PAGE)}

    def place(name: str) -> tuple[int, int, str]:
        kind, _, line = name.rpartition("_")
        return order.get(name, len(order)), int(line) if line.isdecimal() else 0, kind

    return sorted(errors, key=place)


def _cited(form: FormData) -> list[tuple[str, bool, str]]:
    """Return the citations of a form: its numbered lines, and one a line of a text."""
    lines = [
        (
            text(form, f"citation_{n}"),
            bool(text(form, f"willful_{n}")),
            text(form, f"instances_{n}"),
        )
        for n in range(_MOST_LINES)
    ]
    out = [line for line in lines if any(line)]
    out += [
        (line.strip().rstrip("* "), line.strip().endswith("*"), "")
        for line in text(form, "citations").splitlines()
        if line.strip(" *")
    ]
    return out[:_MOST_LINES]


def _check_dates(filled: Filled) -> None:
    today = clock.latest_day()
    days: dict[str, date] = {}
    for name in ("opened_on", "closed_on"):
        try:
            days[name] = date.fromisoformat(filled.values[name])
        except ValueError:
            continue
        if days[name] > today:
            filled.errors[name] = (
                f"Enter a day that is not in the future; today is {clock.today()}"
                f" ({zone_in_words()})"
            )
    if len(days) == 2 and days["closed_on"] < days["opened_on"]:
        filled.errors.setdefault("closed_on", _EXPECTED["closed_on"])


def _check_counts(filled: Filled) -> None:
    """Say that more firearms are missing in the end than at first: the end is of those."""
    names = ("firearms_unaccounted_initial", "firearms_unaccounted_final")
    first, last = (filled.values[name] for name in names)
    if not first or not last or filled.errors.keys() & set(names):
        return
    if float(last) > float(first):
        filled.errors.setdefault(
            "firearms_unaccounted_final",
            f"Enter no more than the {float(first):,.0f} unaccounted for at first",
        )


def _check_cited(filled: Filled) -> None:
    """Say that an inspection without a violation cites none."""
    n = sum(bool(cited) for cited, _, _ in filled.citations)
    if filled.values["outcome"] == "none" and n:
        filled.errors.setdefault(
            "outcome",
            f"Choose an outcome with violations, or take out the {counted(n, 'citation')} below:"
            " no violation was found, or some are cited, not both",
        )


def _check_number(caller: Caller, filled: Filled, dealer: str) -> None:
    """Say at its field that the number is that of an inspection of another dealer."""
    number, runtime = filled.values["inspection_id"], caller.runtime
    if not number or "inspection_id" in filled.errors:
        return
    warehouse = runtime.settings.home / "warehouse"
    if outcome_rules.is_of_another(runtime.store, warehouse, number, dealer):
        filled.errors["inspection_id"] = (
            "This number belongs to an inspection of another dealer; enter this one's"
        )


def _check_law(caller: Caller, filled: Filled, given: Mapping[str, Any]) -> None:
    """Say at their fields what the law and the list that ordered the visit ask for.

    Fields that are wrong themselves are left out: the law's answer does not hang on them.
    """
    wrong = {name for name in filled.errors if name not in {"opened_on", "inspection_id"}}
    stand_in = {"outcome": "none", "kind": "compliance", "selected_by": "risk"}
    asked = {name: value for name, value in given.items() if name not in wrong} | {
        name: value for name, value in stand_in.items() if name in wrong or not given.get(name)
    }
    if "inspection_id" in filled.errors:
        asked["inspection_id"] = "not-given"
    try:
        request = OutcomeRequest.model_validate(asked)
    except ValidationError:
        return  # without its day nothing can be said
    for error in routes.refusals(caller, request):
        filled.errors.setdefault(_at(error), _in_words(error))


def _form(
    request: Request,
    caller: Caller,
    row: Mapping[str, str],
    filled: Filled,
    *,
    status: int = 200,
    n_more: int = 0,
    is_lost: bool = False,
) -> Response:
    n_lines = min(max(_LEAST_LINES, len(filled.citations) + n_more), _MOST_LINES)
    empty = [("", False, "")] * (n_lines - len(filled.citations))
    name = dealer_name(row)
    return page(
        request, "outcome.html", title=f"{'Error: ' if filled.errors else ''}Outcome, {name[:60]}",
        active="dealers", me=caller.principal, status=status, row=row, name=name,
        values={name: filled.values.get(name, "") for name in _FIELDS}, errors=filled.errors,
        lines=[*filled.citations, *empty], plans=filled.plans, is_lost=is_lost, labels=LABELS,
        kinds=KINDS, selections=SELECTIONS, bases=BASES, outcomes=NAMES, known=known_citations(),
    )  # fmt: skip
