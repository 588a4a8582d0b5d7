"""The twelve-month rule and the recall: when a dealer may be visited again, and when it is due.

18 USC 923(g)(1)(B)(ii)(I): without a warrant, not more than once in any twelve months. Inspections
of kind ``compliance`` and ``recall`` use up the allowance; trace, criminal and warrant visits do
not. The year is counted from the later of the day it was opened and the day it was closed, and is
over before the next visit: "any 12-month period" that begins on 29 February ends with the 28th of
the next one, so the first lawful day is 1 March.

A dealer whose last inspection ended in a warning is due for a recall some months after it, though
not before the law allows the visit, and for some years.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import pandas as pd

from features.domain.asof import months_over, months_over_column
from features.reference.legal.law import law
from features.reference.legal.outcome import WARNED

CONSUMING_KINDS: Final = frozenset({"compliance", "recall"})


def interval_months(on: date) -> int:
    """Return the months that must lie between two inspections, by the law in force on a day."""
    return int(law("inspection_interval_months", on))


def next_eligible(opened_on: date, closed_on: date | None, *, as_of: date) -> date:
    """Return the first day on which the next inspection is allowed, by the law of `as_of`.

    >>> next_eligible(date(2024, 2, 29), None, as_of=date(2024, 6, 1))
    datetime.date(2025, 3, 1)
    """
    return months_over(max(opened_on, closed_on or opened_on), interval_months(as_of))


def ended_on(opened_on: pd.Series, closed_on: pd.Series) -> pd.Series:
    """Return the day from which the interval of each inspection is counted."""
    return closed_on.where(closed_on > opened_on, opened_on)


def ended_before(eligible_on: pd.Series, as_of: date) -> pd.Series:
    """Return the day from which an interval was counted that ended by the law of a day.

    Of an interval from 29 February it is the next day, as the interval of both ends alike.

    >>> ended_before(pd.Series(pd.to_datetime(["2025-03-01"])), date(2025, 6, 1))[0]
    Timestamp('2024-03-01 00:00:00')
    """
    return eligible_on - pd.DateOffset(months=interval_months(as_of))


def recall_spans(ended: pd.Series, outcome: pd.Series, as_of: date) -> pd.DataFrame:
    """Return from and until when a recall is due after each dealer's last inspection.

    Parameters
    ----------
    ended, outcome : Series
        See `ended_on`; and how it ended.

    Returns
    -------
    DataFrame
        ``allowed_on`` (first lawful day of any visit), ``due_on`` and ``lapses_on`` (first day of
        a recall, and first day on which it is not due any more), null where no warning stands.
    """
    first = int(law("recall_interval_months", as_of))
    last = first + 12 * int(law("recall_due_years", as_of))
    allowed = months_over_column(ended, interval_months(as_of))
    due = months_over_column(ended, first)
    is_warned = outcome.isin(WARNED)
    return pd.DataFrame(
        {
            "allowed_on": allowed,
            "due_on": due.where(due > allowed, allowed).where(is_warned),
            "lapses_on": months_over_column(ended, last).where(is_warned),
        }
    )


def is_recall_due(ended: pd.Series, outcome: pd.Series, as_of: date) -> pd.Series:
    """Tell which dealers are due for a recall, by end and outcome of their last inspection."""
    spans, now = recall_spans(ended, outcome, as_of), pd.Timestamp(as_of)
    return (spans["due_on"] <= now) & (spans["lapses_on"] > now)
