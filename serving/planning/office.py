"""The candidates of an office, from the scored table as one caller sees it."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Flags, Floats
from features.domain.asof import DAYS_A_YEAR
from features.reference.legal.twelve_month_rule import ended_before, recall_spans
from serving.planning.request import expected_hours
from serving.scores.visible_dealers import View

_SALES: Final = "volume_sales_1y"
_YEARS_LISTED: Final = "license_years_listed"


def office_rows(view: View, own: Flags, office: str) -> npt.NDArray[np.intp]:
    """Return the rows of an office that the caller may see."""
    return np.flatnonzero(view.is_visible & own & (view.snapshot.columns["office"] == office))


def candidate_table(
    view: View, rows: npt.NDArray[np.intp], *, starts_on: date, weeks: int
) -> pd.DataFrame:
    """Return the table of candidates that `make_plan` takes, for the days of one plan.

    The expected yield is the first head's calibrated probability. A dealer never inspected is
    unseen since it was first listed, and for ever when that is not known. A recall is due that
    falls due before the plan ends and has not lapsed when it starts.

    Parameters
    ----------
    view : View
    rows : array of int
    starts_on : date
        First day of the plan.
    weeks : int
        Its weeks.
    """
    columns = view.snapshot.columns
    as_of, first = np.datetime64(view.snapshot.as_of, "s"), np.datetime64(starts_on, "s")
    last, eligible = columns["last_inspected_on"][rows], columns["eligible_on"][rows]
    listed_days = _signal(view, rows, _YEARS_LISTED) * DAYS_A_YEAR + _days(first - as_of)
    unseen = np.where(
        np.isnat(last),
        np.where(np.isnan(listed_days), np.inf, listed_days),
        _days(first - last),
    )
    spans = recall_spans(
        ended_before(pd.Series(eligible), view.snapshot.as_of),
        pd.Series(columns["last_outcome"][rows], dtype=object),
        starts_on,
    )
    is_due = (spans["due_on"] < pd.Timestamp(starts_on) + pd.Timedelta(weeks=weeks)) & (
        spans["lapses_on"] > pd.Timestamp(starts_on)
    )
    # A recall may be due later than the law allows a visit.
    visit_on = pd.Series(np.where(np.isnat(eligible), as_of, eligible))
    visit_on = visit_on.where(~is_due, spans["due_on"])
    sales = pd.Series(_signal(view, rows, _SALES))
    return pd.DataFrame(
        {
            "dealer": columns["dealer"][rows],
            "latitude": columns["latitude"][rows],
            "longitude": columns["longitude"][rows],
            "expected_yield": columns[view.snapshot.heads[0]][rows].astype(np.float64),
            "hours": expected_hours(sales),
            "eligible_on": visit_on,
            "is_recall_due": is_due.to_numpy(dtype=bool),
            "unseen_days": np.maximum(unseen, 0.0),
        }
    )


def _days(span: npt.NDArray[Any] | np.timedelta64) -> Floats:
    return np.asarray(span).astype("timedelta64[D]").astype(np.float64)


def _signal(view: View, rows: npt.NDArray[np.intp], name: str) -> Floats:
    names = [signal["name"] for signal in view.snapshot.bundle.signals]
    if name not in names:
        return np.full(len(rows), np.nan)
    return np.asarray(view.snapshot.inputs[rows, names.index(name)], dtype=np.float64)
