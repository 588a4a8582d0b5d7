"""What the inspections of each dealer say of the next, by the twelve-month rule."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from features.domain.asof import months_over_column
from features.reference.legal.twelve_month_rule import (
    CONSUMING_KINDS,
    ended_on,
    interval_months,
    is_recall_due,
)


def inspection_facts(inspections: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Summarize what the inspections known by `as_of` say about each dealer.

    Parameters
    ----------
    inspections : DataFrame
        Columns dealer, kind, opened_on, closed_on, outcome.

    Returns
    -------
    DataFrame
        Indexed by dealer: last_inspected_on, last_outcome, last_kind, n_inspections, eligible_on,
        is_recall_due. Only inspections that use up the allowance count.
    """
    frame = inspections[inspections["kind"].isin(CONSUMING_KINDS)].copy()
    frame["opened_on"] = pd.to_datetime(frame["opened_on"]).astype("datetime64[s]")
    closed = pd.to_datetime(frame["closed_on"]).astype("datetime64[s]")
    frame["ended_on"] = ended_on(frame["opened_on"], closed)
    frame = frame.sort_values(["dealer", "ended_on"], kind="stable")
    grouped = frame.groupby("dealer")
    facts = pd.DataFrame(
        {
            "last_inspected_on": grouped["opened_on"].last(),
            "last_outcome": grouped["outcome"].last(),
            "last_kind": grouped["kind"].last(),
            "n_inspections": grouped.size().astype(np.int64),
            "ended_on": grouped["ended_on"].last(),
        }
    )
    facts["eligible_on"] = months_over_column(facts["ended_on"], interval_months(as_of))
    facts["is_recall_due"] = is_recall_due(facts["ended_on"], facts["last_outcome"], as_of)
    return facts.drop(columns="ended_on")
