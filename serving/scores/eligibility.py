"""The twelve-month rule: when the law allows the next inspection of a dealer.

18 USC 923(g)(1)(B)(ii)(I): without a warrant, not more than once in any twelve months. Inspections
of kind ``compliance`` and ``recall`` use up the allowance; trace, criminal and warrant visits do
not. The year is counted from the later of the day it was opened and the day it was closed.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.domain.asof import add_months

CONSUMING_KINDS: Final = frozenset({"compliance", "recall"})
WARNED: Final = frozenset({"warning_letter", "warning_conference"})
# A warned dealer is due for a recall from the day the law allows it, for two years.
RECALL_YEARS: Final = 2


def next_eligible(opened_on: date, closed_on: date | None) -> date:
    """Return the first day on which the next inspection is allowed.

    >>> next_eligible(date(2024, 2, 29), None)
    datetime.date(2025, 2, 28)
    """
    return add_months(max(opened_on, closed_on or opened_on), 12)


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
    facts["eligible_on"] = _add_years(facts["ended_on"], 1)
    now = pd.Timestamp(as_of)
    facts["is_recall_due"] = (
        facts["last_outcome"].isin(WARNED)
        & (facts["eligible_on"] <= now)
        & (_add_years(facts["ended_on"], 1 + RECALL_YEARS) > now)
    )
    return facts.drop(columns="ended_on")


def _add_years(days: pd.Series, years: int) -> pd.Series:
    return (days + pd.DateOffset(years=years)).astype("datetime64[s]")
