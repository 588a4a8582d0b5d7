"""A plan as calendar, spreadsheet and paper: each says what the page says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

from features.domain.number_words import counted
from features.reference.legal.outcome import outcome_label
from serving.contract.kept_plan import STATUS_WORDS, KeptPlan, KeptVisit, Status
from serving.papers.spreadsheet import Field, Sheet, book
from serving.papers.typesetting import pdf
from serving.planning.calendar import Entry, to_calendar
from serving.planning.kept.document import WeekOf, weeks_of_document
from serving.planning.kept.elsewhere import also_sentence
from serving.planning.kept.in_names import move_in_words
from serving.planning.kept.nights import evenings_sentence
from serving.scores.words.area_names import office_label
from serving.scores.words.wording import (
    RATES,
    head_label,
    last_kind_label,
    miles,
    percent,
    planned_label,
    score,
)
from serving.statements import basis_sentence, data_sentence, in_brief

_YIELD: Final = Field("Expected yield", "number", 12)
_FIELDS: Final = (
    Field("Week", "whole", 6), Field("Investigator", width=16), Field("First day", "date", 12),
    Field("Last day", "date", 12), Field("Stop", "whole", 6), Field("Dealer", width=30),
    Field("Street", width=28), Field("City", width=16), Field("State", width=7),
    Field("ZIP", width=8), Field("License number", width=24), Field("License type", width=9),
    Field("Licensee", width=28), Field("Dealer key", width=13), Field("Hours on site", "number", 9),
    Field("Hours driving to it", "number", 9), Field("Miles to it", "number", 9),
    Field("Part", width=9), Field("In the plan because", width=16),
    Field("Probability of the draw", "percent", 12),
    _YIELD,
    Field("Last compliance or recall inspection, opened on", "date", 14),
    Field("Its outcome", width=18), Field("What stands out", width=70),
    Field("Visited or overridden since", width=36), Field("Elsewhere", width=50),
)  # fmt: skip
# A reader who sees one of these asks why anybody goes there.
_ENDED: Final = frozenset({"revocation", "surrender"})
_EVENT_STATUS: Final[Mapping[Status, str]] = {
    "draft": "TENTATIVE",
    "approved": "CONFIRMED",
    "handed_over": "CONFIRMED",
    "withdrawn": "CANCELLED",
}
_MILES_PER_KM: Final = 0.621371192


def about(plan: KeptPlan) -> list[str]:
    """Return what is said with every file of a plan; the first line is its title."""
    lines = [
        title_of(plan),
        status_sentence(plan),
        *([f"Note: {plan.note}"] if plan.note else []),
        data_sentence(plan.basis.as_of),
        "Investigators: " + ", ".join(plan.investigators) + ".",
        start_sentence(plan),
        evenings_sentence([week.evenings for week in weeks_of_document(plan)]),
    ]
    if plan.holidays:
        named = ", ".join(f"{one.name} ({one.on})" for one in plan.holidays)
        lines.append(f"Federal holidays, not worked on: {named}.")
    lines += [
        f"{plan.investigators[one.investigator - 1]} is away from {one.first_on} to {one.last_on}."
        for one in plan.absences
    ]
    told = {visit.dealer: visit for visit in plan.visits if visit.override}
    lines += [f"{one.name} ({one.dealer}) was {one.override}." for one in told.values()]
    lines += [also_sentence(one) for one in plan.also_in]
    lines += [f"Breaks a rule: {sentence}" for sentence in plan.broken]
    lines += [f"Left out: {sentence}" for sentence in plan.shortfalls]
    names = {visit.dealer: visit.name for visit in plan.visits}
    lines += [
        f"Changed by hand: {move_in_words(move, plan.investigators, names)}." for move in plan.moves
    ]
    if not plan.visits:
        lines.append(without_visits(plan))
    return [*lines, basis_sentence(plan.basis.model_dump(mode="json")), *plan.disclaimers]


def status_sentence(plan: KeptPlan) -> str:
    """Say how far a plan is, and by whom."""
    if not plan.at:
        return "Not kept yet: a proposal."
    said = STATUS_WORDS[plan.status].capitalize()
    return f"{said}, version {plan.version} by {plan.who}. {plan.plan_id}"


def without_visits(plan: KeptPlan) -> str:
    """Say why a plan has no visit."""
    if any(move.endswith("~out") for move in plan.moves):
        return "All visits were left out by hand."
    return "No dealer can be visited under these terms."


def start_sentence(plan: KeptPlan) -> str:
    """Say where the weeks of a plan start and end, and what distances are."""
    where = plan.start or f"the point {plan.latitude:.4f}, {plan.longitude:.4f}"
    return (
        f"Each week starts and ends at {where}. Distances are estimated from straight lines between"
        " the stops."
    )


def title_of(plan: KeptPlan) -> str:
    """Return what a plan is called."""
    weeks = counted(plan.weeks, "week")
    return f"Visits of {office_label(plan.office)}, {weeks} from {plan.starts_on}"


def plan_ics(plan: KeptPlan, dropped: Sequence[KeptVisit] = ()) -> str:
    """Return the plan as iCalendar text.

    The same version gives the same bytes; a later one replaces its events by their identifiers,
    and cancels those that it has no more.

    Parameters
    ----------
    plan : KeptPlan
    dropped : sequence of KeptVisit
        Visits of earlier versions that are not in this one.
    """
    evenings = {(w.week, w.investigator): w.evenings.words for w in weeks_of_document(plan)}
    entries = [
        Entry(
            uid=f"{plan.plan_id}-{visit.dealer}-{visit.part}@ffl-risk",
            first_on=visit.first_on,
            last_on=visit.last_on,
            title=_title(plan, visit),
            place=address(visit),
            text=_note(plan, visit, evenings[visit.week, visit.investigator]),
            status=_EVENT_STATUS[plan.status],
        )
        for visit in plan.visits
    ]
    entries += [
        Entry(
            uid=f"{plan.plan_id}-{visit.dealer}-{visit.part}@ffl-risk",
            first_on=visit.first_on,
            last_on=visit.last_on,
            title=f"Canceled: {visit.name}",
            place=address(visit),
            text=f"No longer in the plan.\n{status_sentence(plan)}",
            status="CANCELLED",
        )
        for visit in dropped
    ]
    return to_calendar(
        entries,
        made_at=_made_at(plan),
        sequence=plan.version,
        name=title_of(plan),
        about=" ".join(
            [
                f"{status_sentence(plan)}.",
                *([f"Note: {plan.note}"] if plan.note else []),
                *plan.disclaimers,
            ]
        ),
    )


def _title(plan: KeptPlan, visit: KeptVisit) -> str:
    said = f", {visit.override}" if visit.override else ""
    return f"{visit.name} ({plan.investigators[visit.investigator - 1]}{said})"


def _note(plan: KeptPlan, visit: KeptVisit, evenings: str) -> str:
    return "\n".join(
        (
            f"License {visit.license_number}, type {visit.license_type}; dealer key {visit.dealer}",
            f"{visit.hours:.1f} hours on site{part_of(visit)};"
            f" in the plan: {planned_label(visit.why)}",
            f"{_capital(chance(plan, visit))}.",
            f"{miles(visit.km)} by road {_from(visit)}.",
            *([f"{visit.elsewhere[:1].upper()}{visit.elsewhere[1:]}."] if visit.elsewhere else []),
            *([f"This week: {evenings}"] if evenings else []),
            status_sentence(plan),
            start_sentence(plan),
            data_sentence(plan.basis.as_of),
            *in_brief(plan.disclaimers),
            "All statements that go with it stand in the calendar's description.",
        )
    )


def _from(visit: KeptVisit) -> str:
    return "from the start" if visit.order == 1 else "from the stop before"


def address(visit: KeptVisit) -> str:
    """Return the address of a visit on one line."""
    return ", ".join(
        part for part in (visit.street, visit.city, f"{visit.state} {visit.zip}") if part
    )


def part_of(visit: KeptVisit) -> str:
    """Say which part of a long visit it is; nothing for a whole one."""
    return f", part {visit.part} of {visit.n_parts}" if visit.n_parts > 1 else ""


def plan_xlsx(plan: KeptPlan) -> bytes:
    """Return the plan as a spreadsheet, one visit a row."""
    rows = [
        (
            visit.week, plan.investigators[visit.investigator - 1], visit.first_on, visit.last_on,
            visit.order, visit.name, visit.street, visit.city, visit.state, visit.zip,
            visit.license_number, visit.license_type, visit.licensee_name, visit.dealer,
            visit.hours, visit.drive_hours, visit.km * _MILES_PER_KM,
            part_of(visit).removeprefix(", "), planned_label(visit.why),
            visit.inclusion_probability if visit.why == "random" else None,
            visit.expected_yield, visit.last_inspected_on,
            outcome_label(visit.last_outcome) if visit.last_inspected_on else "",
            " ".join([_as_of(plan), *visit.reasons]) if visit.reasons else "",
            visit.override, visit.elsewhere,
        )
        for visit in plan.visits
    ]  # fmt: skip
    fields = [_yield_field(plan) if field is _YIELD else field for field in _FIELDS]
    return book([Sheet("Plan", fields, rows)], about=about(plan), created=_made_at(plan))


def plan_pdf(plan: KeptPlan) -> bytes:
    """Return the plan as a tagged PDF, one table a week and investigator."""
    said = about(plan)
    basis, brief = basis_sentence(plan.basis.model_dump(mode="json")), in_brief(plan.disclaimers)
    content = {
        "title": said[0],
        "lines": said[1 : -(1 + len(plan.disclaimers))],
        "statements": [basis, *brief, "All statements that go with it stand at the end."],
        "closing": list(plan.disclaimers),
        "foot": f"{plan.plan_id}, version {plan.version}. {data_sentence(plan.basis.as_of)}",
        "weeks": [_week(plan, week) for week in weeks_of_document(plan)],
    }
    return pdf("plan", content, created=_made_at(plan))


def _week(plan: KeptPlan, week: WeekOf) -> dict[str, object]:
    name = plan.investigators[week.investigator - 1]
    facts = (
        f"{week.hours:.1f} of {week.hours_available:g} hours, {week.drive_hours:.1f} of them"
        f" driving {miles(week.km)}. {week.evenings.words}"
    )
    return {
        "title": f"Week {week.week}, from {week.starts_on}: {name}",
        "facts": facts.strip() if week.visits else "No visit.",
        "visits": [
            {
                "when": days_in_words(visit.first_on, visit.last_on),
                "hours": f"{visit.hours:.1f} hours{part_of(visit)}",
                "name": visit.name,
                "address": address(visit),
                "license": f"{visit.license_number}, type {visit.license_type}",
                "last": last_visit(visit),
                "reasons": visit.reasons,
                "as_of": _as_of(plan),
                "why": planned_label(visit.why),
                "chance": chance(plan, visit),
                "override": "; ".join(filter(None, (visit.override, visit.elsewhere))),
            }
            for visit in week.visits
        ],
    }


def _as_of(plan: KeptPlan) -> str:
    """Say of which day the ages in reasons are: a visit may be long after it."""
    return f"As of {plan.basis.as_of}:"


def last_visit(visit: KeptVisit) -> str:
    """Say when a dealer was last inspected, and how that ended."""
    if visit.last_inspected_on is None:
        return "No compliance or recall inspection on record"
    outcome = outcome_label(visit.last_outcome)
    still = "; licensed by the newest listing" if visit.last_outcome in _ENDED else ""
    day = visit.last_inspected_on
    kind = last_kind_label(visit.last_kind)
    return f"Last compliance or recall inspection, opened on {day}: {kind}, {outcome}{still}"


def chance(plan: KeptPlan, visit: KeptVisit) -> str:
    """Return what a visit adds to the expected total of its plan, named.

    The part of a long visit stands for the whole: it counts once.
    """
    value = visit.expected_yield
    if not plan.head:
        return f"expected yield {value:.3g}"
    if plan.head in RATES:
        return f"{score(value, plan.head)} {head_label(plan.head)}"
    return f"{percent(value)} {head_label(plan.head)}"


def _yield_field(plan: KeptPlan) -> Field:
    """Return the column of the yield: in per cent where it is a chance."""
    if not plan.head:
        return _YIELD
    heading = _capital(head_label(plan.head))
    return Field(heading, "number" if plan.head in RATES else "percent", 12)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def days_in_words(first: date, last: date) -> str:
    """Return the days of a visit.

    >>> days_in_words(date(2026, 1, 5), date(2026, 1, 6))
    'Mon 5 Jan to Tue 6 Jan'
    """
    start = f"{first:%a} {first.day} {first:%b}"
    return start if first == last else f"{start} to {last:%a} {last.day} {last:%b}"


def _made_at(plan: KeptPlan) -> datetime:
    """Return when the plan was made; a proposal has the day of its data, so that it can repeat."""
    if plan.at:
        return datetime.fromisoformat(plan.at).astimezone(UTC)
    return datetime(plan.basis.as_of.year, plan.basis.as_of.month, plan.basis.as_of.day, tzinfo=UTC)
