"""What may be shown to anyone of a report of measures, and from which day on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from features.errors import InvalidValueError
from features.insight.measures.figures import GROUNDS, RESTS_ON, Figures
from features.insight.measures.formula import names_in, parts_in
from features.insight.measures.measure import Measured, Report
from features.insight.sharing.rules import Rules, release_day, rules_on


def measures_released_on(ends_on: date) -> date:
    """Return the day on which the measures of a period that ends before a day are released.

    It is that of its last quarter: asked for while they still change, two answers would differ by
    single visits.

    >>> measures_released_on(date(2025, 1, 1))
    datetime.date(2025, 2, 15)
    """
    last = ends_on - timedelta(days=1)
    return release_day(f"{last.year}Q{(last.month - 1) // 3 + 1}")


def last_released_year(on: date) -> int:
    """Return the newest year whose measures are released by a day.

    >>> last_released_year(date(2025, 2, 14)), last_released_year(date(2025, 2, 15))
    (2023, 2024)
    """
    return on.year - 1 if measures_released_on(date(on.year, 1, 1)) <= on else on.year - 2


def require_released(ends_on: date, on: date) -> date:
    """Return the day on which a period was released.

    Raises
    ------
    InvalidValueError
        When it is still to come.
    """
    day = measures_released_on(ends_on)
    if day > on:
        raise InvalidValueError(
            "The measures of that period are not released yet.",
            found=f"released on {day}",
            expected=f"a year up to {last_released_year(on)}",
        )
    return day


def public_report(report: Report, on: date) -> Report:
    """Return what may be shown to anyone: public measures whose grounds meet the release rules.

    They are judged by the rules of the day of release, so that no later rules tell a cell by what
    they add or take away.

    Raises
    ------
    InvalidValueError
        When the period is not released yet.
    """
    rules = rules_on(require_released(date.fromisoformat(report.ends_on), on))
    shown = []
    for m in report.measures:
        if not m.definition.is_public:
            continue
        if _may_be_shown(m, report.figures, rules):
            # The trend holds what was frozen, not what may be shown.
            told = Measured(m.definition, m.value, m.low, m.high, m.verdict, m.said)
        else:
            told = Measured(m.definition, None, None, None, "cannot be said", "too few to be shown")
        shown.append(told)
    return Report(report.period, report.starts_on, report.ends_on, True, tuple(shown), {})


def _may_be_shown(m: Measured, figures: Figures, rules: Rules) -> bool:
    """Whether all that a measure tells rests on enough firearms or visits, of enough dealers."""
    what, formula = m.definition.name, m.definition.formula
    for name in names_in(formula, what=what):
        for ground in RESTS_ON.get(name, (name,)):
            if not _is_enough(ground, figures.get(ground), figures, rules):
                return False
        if not RESTS_ON.get(name, (name,)):
            return False
    # From a share and its interval both counts follow, and so what is left of the whole.
    for part, whole in parts_in(formula, what=what):
        if part in RESTS_ON or whole in RESTS_ON:
            continue
        n, of = figures.get(part), figures.get(whole)
        rest = None if n is None or of is None else of - n
        if not _is_enough(f"{whole} - {part}", rest, figures, rules):
            return False
    return True


def _is_enough(
    name: str, n: float | None, figures: Mapping[str, float | None], rules: Rules
) -> bool:
    """Whether a count may be told, zero included; what there is no data for tells nothing."""
    if n is None:
        return True
    if abs(n) < rules.min_firearms:
        return False
    if name not in GROUNDS:
        return True
    of_dealers, at_one = GROUNDS[name]
    dealers = figures.get(of_dealers)
    if dealers is None or dealers < rules.min_dealers:
        return False
    most = figures.get(at_one) if at_one else 0.0
    return most is not None and most <= rules.max_dealer_share * n
