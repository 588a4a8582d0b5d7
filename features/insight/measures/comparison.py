"""One rule for whether a measure is better or worse than its target, and than the year before.

A value alone cannot say: on few cases it lies on either side by chance. What its 95% interval
tells is told, in the same words on the page and in every file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal

from features.insight.measures.measure import Definition, Measured, Report

BETTER: Final = "better"
WORSE: Final = "worse"
UNTOLD: Final = "cannot be told"
RULE: Final = (
    "Better or worse than the target: the whole 95% interval lies on that side of it. Better or "
    "worse than the year before: the two intervals do not meet. Else, and without an interval, it "
    "cannot be told. Met and not met go by the value alone."
)


def side(
    low: float | None,
    high: float | None,
    *,
    of: tuple[float | None, float | None],
    better: Literal["higher", "lower"],
) -> str:
    """Return where an interval lies beside another, or beside a point given as both its ends.

    >>> side(0.30, 0.40, of=(0.25, 0.25), better="higher")
    'better'
    >>> side(0.30, 0.40, of=(0.35, 0.50), better="higher")
    'cannot be told'
    """
    if low is None or high is None or of[0] is None or of[1] is None:
        return UNTOLD
    if low > of[1]:
        return BETTER if better == "higher" else WORSE
    if high < of[0]:
        return WORSE if better == "higher" else BETTER
    return UNTOLD


def compared(report: Report, before: Iterable[Report]) -> Report:
    """Return a report with each measure held against its target and against the year before.

    Parameters
    ----------
    before : iterable of Report
        Earlier periods as the same reader may see them. The year before is the one that ends on
        the day on which the report begins.
    """
    last = {
        m.definition.name: m
        for one in before
        if one.ends_on == report.starts_on
        for m in one.measures
    }
    found = tuple(_compared(m, last.get(m.definition.name)) for m in report.measures)
    return replace(report, measures=found)


def _compared(now: Measured, then: Measured | None) -> Measured:
    target, better = now.definition.target, now.definition.better
    ends: tuple[float | None, float | None] = (None, None)
    if then is not None and _is_alike(now.definition, then.definition):
        ends = then.low, then.high
    return replace(
        now,
        against_target=side(now.low, now.high, of=(target, target), better=better),
        against_year_before=side(now.low, now.high, of=ends, better=better),
    )


def _is_alike(now: Definition, then: Definition) -> bool:
    """Return whether two years were measured by one formula, so that they can be compared."""
    return (now.formula, now.unit) == (then.formula, then.unit)
