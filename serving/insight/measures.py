"""Measures for callers: figures of the warehouse, of the evaluation and of the store together."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from features.errors import InvalidValueError
from features.insight.measures.comparison import compared
from features.insight.measures.figures import Figures, Period, warehouse_figures
from features.insight.measures.measure import (
    ADDED,
    Report,
    measure,
    notes_of,
    registry,
)
from features.insight.measures.public_report import public_report
from features.insight.measures.writing import freeze, frozen, frozen_before
from features.openjson import Json
from features.warehouse import Warehouse
from serving import clock
from serving.access.roles import PUBLIC_ONLY
from serving.errors import NotReadyError
from serving.insight.best_rule import best_rule
from serving.insight.cached import warehouse_of
from serving.store.database import Store
from serving.store.tables import REFERRALS


def report_for(
    home: Path, warehouse: Warehouse, period: Period, *, store: Store | None, today: date
) -> Report:
    """Return a period's measures: those frozen, else worked out, and frozen once it is over."""
    kept = frozen(home, period.name)
    if kept is not None:
        return kept
    figures = warehouse_figures(warehouse, period) | added_figures(home, period, store)
    report = measure(
        registry(home),
        figures,
        period,
        notes=notes_of(home, period.name),
        before=frozen_before(home, period.name),
    )
    return freeze(report, home) if period.ends_on <= today else report


def shown_to(report: Report, role: str, on: date, *, home: Path) -> Report:
    """Return what a role may see, held against targets and the year before.

    Partners get the public variant, and of the year before too.
    """
    before = frozen_before(home, report.period)
    if role in PUBLIC_ONLY:
        return compared(public_report(report, on), [public_report(one, on) for one in before])
    return compared(report, before)


def added_figures(home: Path, period: Period, store: Store | None) -> Figures:
    """Return the figures that are not in the warehouse; None where nothing tells."""
    found: Figures = dict.fromkeys(ADDED)
    _evaluation(home, found)
    _indicators(home, found)
    if store is not None:
        _referrals(store, period, found)
    return found


def _read(path: Path) -> Json:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _evaluation(home: Path, found: Figures) -> None:
    candidate = _read(home / "champion.json").get("candidate")
    if not isinstance(candidate, str) or not candidate.isdigit():
        return
    heads = _read(home / "candidates" / candidate / "evaluation.json").get("heads", {})
    head = heads.get("compliance") if isinstance(heads, dict) else None
    if not isinstance(head, dict):
        return
    best = best_rule(head)
    if best is not None:
        found["recall_at_capacity"], found["recall_best_rule"] = best.model, best.rule
        found["recall_gain_low"] = best.gain_low


def _indicators(home: Path, found: Figures) -> None:
    signals = _read(home / "reports" / "indicators.json").get("signals", [])
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
        found["referrals_opened"] = float(n)
        closed = query.where(REFERRALS.c.closed_at.is_not(None))
        found["referrals_closed"] = float(connection.execute(closed).scalar_one())


def measures_for(home: Path, store: Store, role: str, year: int | None) -> Report:
    """Return the measures of a year as a role may see them.

    Raises
    ------
    NotReadyError
        When there is no warehouse, or the registry cannot be read.
    """
    today = clock.today()
    period = Period.year(year if year is not None else today.year - 1)
    try:
        report = report_for(home, warehouse_of(home), period, store=store, today=today)
    except InvalidValueError as error:
        raise NotReadyError("The registry of measures cannot be read.") from error
    return shown_to(report, role, today, home=home)
