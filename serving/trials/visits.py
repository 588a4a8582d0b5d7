"""What past and present visits found, from the warehouse: for power before, for reading after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.domain.asof import add_months
from features.warehouse import Warehouse
from models.policy import SevereFinding
from models.severity import VIOLATIONS, independent, severe
from serving.errors import InvalidRequestError

_PAST_PERIODS = 8


def independent_visits(
    warehouse: Warehouse, *, known_before: date, rule: SevereFinding
) -> pd.DataFrame:
    """Return the visits a trial counts: compliance inspections that follow no finding.

    Parameters
    ----------
    rule : SevereFinding
        What is severe: as the model in force has it when a trial is planned, as planned when it is
        read.

    Returns
    -------
    DataFrame
        ``dealer``, ``office``, ``opened_on``, ``is_closed`` and ``y`` (severe or not).
    """
    columns = [
        "inspection_id", "dealer", "kind", "opened_on", "closed_on", "selected_by", "office",
        "outcome", "firearms_unaccounted_final",
    ]  # fmt: skip
    rows = warehouse.read("inspections", as_of=known_before, columns=columns).to_pandas(
        date_as_object=False
    )
    cited = warehouse.read("violations", as_of=known_before, columns=list(VIOLATIONS)).to_pandas()
    visits = rows[independent(rows)].reset_index(drop=True)
    visits["y"] = severe(visits, cited, rule)
    visits["is_closed"] = visits["closed_on"].notna()
    kept: pd.DataFrame = visits[["dealer", "office", "opened_on", "is_closed", "y"]]
    return kept


def past_cells(
    visits: pd.DataFrame, offices: Sequence[str], *, before: date, months: int
) -> tuple[Floats, Floats]:
    """Return shares of severe findings and visits of each office in past periods.

    Returns
    -------
    rates, visits : array of shape (n_offices, n_past)
        Oldest period first; a share is NaN where nobody was visited.

    Raises
    ------
    InvalidRequestError
        When nothing was found in the past, so that nothing can be foreseen.
    """
    closed = visits[visits["is_closed"]]
    names = pd.Index(offices)
    rates, counts = [], []
    for back in range(_PAST_PERIODS, 0, -1):
        start = pd.Timestamp(add_months(before, -back * months))
        end = pd.Timestamp(add_months(before, -(back - 1) * months))
        within = closed[(closed["opened_on"] >= start) & (closed["opened_on"] < end)]
        by_office = within.groupby("office")["y"]
        counts.append(by_office.size().reindex(names).fillna(0).to_numpy(dtype=np.float64))
        rates.append(by_office.mean().reindex(names).to_numpy(dtype=np.float64))
    n = np.array(counts).T
    if float(np.nansum(np.array(rates).T * n)) <= 0:
        raise InvalidRequestError(
            "No severe finding is known from the past: what a trial can show cannot be foreseen.",
            found=f"{int(n.sum())} closed visits in {_PAST_PERIODS} periods of {months} months",
            fix="ingest the inspections of the years before",
        )
    return np.array(rates).T, np.where(n > 0, n, np.nan)
