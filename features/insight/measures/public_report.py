"""What may be shown to anyone of a report of measures."""

from __future__ import annotations

from datetime import date

from features.insight.measures.formula import names_in
from features.insight.measures.measure import Measured, Report
from features.insight.sharing.rules import rules_on


def public_report(report: Report, on: date) -> Report:
    """Return what may be shown to anyone: public measures whose counts meet the release rules."""
    rules = rules_on(on)
    shown = []
    for m in report.measures:
        if not m.definition.is_public:
            continue
        counts = [
            report.figures.get(name)
            for name in names_in(m.definition.formula, what=m.definition.name)
        ]
        is_small = any(n is not None and 0 < abs(n) < rules.min_firearms for n in counts)
        dealers = report.figures.get("visits_dealers")
        is_thin = "inspections" in m.definition.source and (dealers or 0) < rules.min_dealers
        if m.value is not None and (is_small or is_thin):
            m = Measured(m.definition, None, None, None, "cannot be said", "too few to be shown")  # noqa: PLW2901
        else:
            m = Measured(  # noqa: PLW2901 - the trend holds what was frozen, not what may be shown
                m.definition, m.value, m.low, m.high, m.verdict, m.said
            )
        shown.append(m)
    return Report(report.period, report.starts_on, report.ends_on, True, tuple(shown), {})
