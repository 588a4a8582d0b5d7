"""Measures for callers: figures of the warehouse, of the evaluation and of the store together."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from features.domain.asof import add_months
from features.errors import InvalidValueError
from features.insight.measures.agencies import by_agency
from features.insight.measures.comparison import compared
from features.insight.measures.figures import BASELINES, Figures, Period, warehouse_figures
from features.insight.measures.measure import (
    ADDED,
    Report,
    measure,
    notes_of,
    registry,
    with_trend,
)
from features.insight.measures.public_report import (
    last_released_year,
    measures_released_on,
    public_report,
    require_released,
)
from features.insight.measures.writing import RELEASED, freeze, frozen, frozen_before
from features.openjson import Json
from features.warehouse import Warehouse
from serving import clock
from serving.access.roles import PUBLIC_ONLY
from serving.contract.field.referral import CONFIRMED
from serving.errors import InvalidRequestError, NoReleaseError, NotReadyError
from serving.insight.best_rule import beside_rules, best_rule, judged_order
from serving.insight.cached import warehouse_of
from serving.scores import holds
from serving.store.database import Store
from serving.store.tables import REFERRALS

# What was found in a period is told after it: for so long its figures may still change.
_SETTLED_DAYS: Final = 31
_FIRST_YEAR: Final = 2000  # that may be asked for


def report_for(
    home: Path,
    warehouse: Warehouse,
    period: Period,
    *,
    store: Store | None,
    today: date,
    may_freeze: bool = True,
) -> Report:
    """Return a period's measures: those frozen, else worked out, and frozen once it is settled.

    A dealer on hold is in no figure, as it is on no list and in no export: counted beside them, it
    would show how many are held.

    Parameters
    ----------
    may_freeze : bool
        Whether asking may keep them for ever: not for who only looks on.
    """
    kept = frozen(home, period.name)
    if kept is not None:
        return kept
    known = [] if store is None else holds.in_force(store, home)
    held = holds.hidden_from("", known, [today])
    figures = warehouse_figures(warehouse, period, without=held)
    figures |= added_figures(home, period, store, today=today)
    report = measure(
        registry(home),
        figures,
        period,
        notes=notes_of(home, period.name),
        before=frozen_before(home, period.name),
        parts={"mexico_requests": by_agency(warehouse, period)},
    )
    return freeze(report, home) if may_freeze and _is_settled(warehouse, period, today) else report


def _is_settled(warehouse: Warehouse, period: Period, today: date) -> bool:
    """Whether nothing of a period is still to come: it is over, and records reach to its end."""
    from serving.scores.publish import records_to

    is_over = period.ends_on + timedelta(days=_SETTLED_DAYS) <= today
    return is_over and records_to(warehouse, period.ends_on) >= period.ends_on


def shown_to(report: Report, role: str, on: date, *, home: Path) -> Report:
    """Return what a role may see, held against targets and the year before.

    Partners get the public variant, and of the year before too.
    """
    before = frozen_before(home, report.period)
    if role in PUBLIC_ONLY:
        before = [
            one for one in before if measures_released_on(date.fromisoformat(one.ends_on)) <= on
        ]
        return compared(public_report(report, on), [public_report(one, on) for one in before])
    return compared(with_trend(report, before), before)


def added_figures(home: Path, period: Period, store: Store | None, *, today: date) -> Figures:
    """Return the figures that are not in the warehouse; None where nothing tells.

    Of a period that is over, an evaluation tells only where what it judged last lies in it: the
    bundle in force today is not the one of then.
    """
    found: Figures = dict.fromkeys(ADDED)
    _evaluation(home, period, today, found)
    _indicators(home, period, today, found)
    if store is not None:
        _referrals(store, period, found)
    return found


def _read(path: Path) -> Json:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_of(judged: date | None, period: Period, today: date) -> bool:
    """Whether a judgment of the year that begins on `judged` belongs to a period."""
    if today < period.ends_on:
        return today >= period.starts_on
    return (
        judged is not None and judged < period.ends_on and period.starts_on < add_months(judged, 12)
    )


def _evaluation(home: Path, period: Period, today: date, found: Figures) -> None:
    candidate = _read(home / "champion.json").get("candidate")
    if not isinstance(candidate, str) or not candidate.isdigit():
        return
    evaluation = _read(home / "candidates" / candidate / "evaluation.json")
    order = judged_order(evaluation)
    if order is None:
        return
    # Evaluations of before named the years at the compliance head alone, by whose labels it goes.
    told = order.get("years") or evaluation.get("heads", {}).get("compliance", {}).get("years")
    years = [date.fromisoformat(str(year)) for year in told or ()]
    if not _is_of(max(years, default=None), period, today):
        return
    best = best_rule(order)
    if best is not None:
        found["recall_at_capacity"], found["recall_best_rule"] = best.model, best.rule
        found["recall_gain_low"] = best.gain_low
    for name, rule in beside_rules(order).items():
        if name in BASELINES:
            found[f"recall_{name}"] = rule.rule
            found[f"recall_gain_low_{name}"] = rule.gain_low


def _indicators(home: Path, period: Period, today: date, found: Figures) -> None:
    report = _read(home / "reports" / "indicators.json")
    last = report.get("last_year")
    if not _is_of(date(last, 1, 1) if isinstance(last, int) else None, period, today):
        return
    signals = report.get("signals", [])
    judged = [one["auc"] for one in signals if isinstance(one, dict) and one.get("auc")]
    if judged:
        found["indicators_judged"] = float(len(judged))
        found["indicators_telling"] = float(
            sum(auc["low"] > 0.5 or auc["high"] < 0.5 for auc in judged)
        )


def _referrals(store: Store, period: Period, found: Figures) -> None:
    opened = REFERRALS.c.opened_at
    inside = sa.and_(opened >= str(period.starts_on), opened < str(period.ends_on))
    with store.read() as connection:
        query = sa.select(sa.func.count()).select_from(REFERRALS).where(inside)
        n = connection.execute(query).scalar_one()
        if not n:
            return
        # As then known: what was taken or closed later was not by the end of the period.
        is_taken = REFERRALS.c.taken_at < str(period.ends_on)
        is_closed = REFERRALS.c.closed_at < str(period.ends_on)
        found["referrals_opened"] = float(n)
        for name, meets in (
            ("taken", (is_taken,)),
            ("closed", (is_closed,)),
            ("taken_closed", (is_taken, is_closed)),
            ("confirmed", (is_taken, is_closed, REFERRALS.c.result.in_(CONFIRMED))),
        ):
            count = connection.execute(query.where(*meets)).scalar_one()
            found[f"referrals_{name}"] = float(count)


def last_year(role: str, today: date) -> int:
    """Return the newest year that a role may be shown whole."""
    return last_released_year(today) if role in PUBLIC_ONLY else today.year - 1


def measures_for(home: Path, store: Store, role: str, year: int | None) -> Report:
    """Return the measures of a year as a role may see them, by default of the last that it may.

    What partners were told of a year they are told again, and a year that the records do not reach
    to the end of they are not told: worked out anew, it would differ by what came in, was taken
    back or is held since.

    Raises
    ------
    NoReleaseError
        When a partner asks for a year that is not released yet.
    InvalidRequestError
        When the year is still to come.
    NotReadyError
        When there is no warehouse, or the registry cannot be read.
    """
    today = clock.today()
    is_public = role in PUBLIC_ONLY
    period = Period.year(year if year is not None else last_year(role, today))
    if period.starts_on > today:
        raise InvalidRequestError(
            "That year is still to come.", found=period.name, expected=f"up to {today.year}"
        )
    try:
        if is_public:
            return _told_to_partners(home, store, period, today, is_asked=year is not None)
        report = report_for(home, warehouse_of(home), period, store=store, today=today)
    except InvalidValueError as error:
        raise NotReadyError("The registry of measures cannot be read.") from error
    return shown_to(report, role, today, home=home)


def _told_to_partners(
    home: Path, store: Store, period: Period, today: date, *, is_asked: bool
) -> Report:
    """Return what partners were told of a year, or are told from now on.

    Where none is asked for by its number, of the newest year that the records tell whole.
    """
    try:
        require_released(period.ends_on, today)
    except InvalidValueError as error:
        raise NoReleaseError(error.what, expected=error.expected) from error
    if (told := frozen(home, period.name, part=RELEASED)) is not None:
        return told
    warehouse = warehouse_of(home)
    if not _is_settled(warehouse, period, today):
        reach = _last_told(warehouse, period, today)
        if reach is None or is_asked:
            raise NoReleaseError(
                "The records do not reach to the end of that year yet.",
                expected=f"a year up to {reach.name}" if reach else "records of a whole year",
            )
        return _told_to_partners(home, store, reach, today, is_asked=True)
    report = report_for(home, warehouse, period, store=store, today=today, may_freeze=False)
    (role,) = PUBLIC_ONLY
    return freeze(shown_to(report, role, today, home=home), home, part=RELEASED)


def _last_told(warehouse: Warehouse, period: Period, today: date) -> Period | None:
    """Return the newest year before a period that the records reach to the end of."""
    from serving.scores.publish import records_to

    year = records_to(warehouse, period.ends_on).year - 1
    found = Period.year(year) if year >= _FIRST_YEAR else None
    return found if found is not None and _is_settled(warehouse, found, today) else None
