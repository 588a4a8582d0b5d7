"""The twelve-month rule: when the law allows the next inspection of a dealer.

18 USC 923(g)(1)(B)(ii)(I): without a warrant, not more than once in any twelve months. Inspections
of kind ``compliance`` and ``recall`` use up the allowance; trace, criminal and warrant visits do
not. The year is counted from the later of the day it was opened and the day it was closed, and is
over before the next visit: "any 12-month period" that begins on 29 February ends with the 28th of
the next one, so the first lawful day is 1 March.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.domain.asof import months_over, months_over_column
from features.reference.legal import law

CONSUMING_KINDS: Final = frozenset({"compliance", "recall"})
WARNED: Final = frozenset({"warning_letter", "warning_conference"})


def interval_months(on: date) -> int:
    """Return the months that must lie between two inspections, by the law in force on a day."""
    return int(law("inspection_interval_months", on))


def next_eligible(opened_on: date, closed_on: date | None, *, as_of: date) -> date:
    """Return the first day on which the next inspection is allowed, by the law of `as_of`.

    >>> next_eligible(date(2024, 2, 29), None, as_of=date(2024, 6, 1))
    datetime.date(2025, 3, 1)
    """
    return months_over(max(opened_on, closed_on or opened_on), interval_months(as_of))


def inspection_facts(inspections: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Summarize what the inspections known by `as_of` say about each dealer.

    Parameters
    ----------
    inspections : DataFrame
        Columns dealer, kind, opened_on, closed_on, outcome.

    Returns
    -------
    DataFrame
        Indexed by dealer: last_inspected_on, last_outcome, n_inspections, eligible_on,
        is_recall_due. Only inspections that use up the allowance count.
    """
    frame = inspections[inspections["kind"].isin(CONSUMING_KINDS)].copy()
    frame["opened_on"] = pd.to_datetime(frame["opened_on"]).astype("datetime64[s]")
    closed = pd.to_datetime(frame["closed_on"]).astype("datetime64[s]")
    frame["ended_on"] = closed.where(closed > frame["opened_on"], frame["opened_on"])
    frame = frame.sort_values(["dealer", "ended_on"], kind="stable")
    grouped = frame.groupby("dealer")
    facts = pd.DataFrame(
        {
            "last_inspected_on": grouped["opened_on"].last(),
            "last_outcome": grouped["outcome"].last(),
            "n_inspections": grouped.size().astype(np.int64),
            "ended_on": grouped["ended_on"].last(),
        }
    )
    facts["eligible_on"] = months_over_column(facts["ended_on"], interval_months(as_of))
    facts["is_recall_due"] = is_recall_due(facts["ended_on"], facts["last_outcome"], as_of)
    return facts.drop(columns="ended_on")


def is_recall_due(ended_on: pd.Series, outcome: pd.Series, as_of: date) -> pd.Series:
    """Tell which dealers are due for a recall, by the day and the outcome of the last inspection.

    A warned dealer is due from some months after the inspection, though not before the law allows
    the visit, and for some years.
    """
    first = int(law("recall_interval_months", as_of))
    last = first + 12 * int(law("recall_due_years", as_of))
    now = pd.Timestamp(as_of)
    is_allowed = months_over_column(ended_on, interval_months(as_of)) <= now
    is_in_turn = (months_over_column(ended_on, first) <= now) & (
        months_over_column(ended_on, last) > now
    )
    return outcome.isin(WARNED) & is_allowed & is_in_turn
