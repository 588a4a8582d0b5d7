"""The candidates of an office, from the scored table as one caller sees it."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Flags, Floats
from features.domain.asof import DAYS_A_YEAR
from serving.planning.request import expected_hours
from serving.scores.visible_dealers import View

_SALES: Final = "volume_sales_1y"
_YEARS_LISTED: Final = "license_years_listed"


def office_rows(view: View, own: Flags, office: str) -> npt.NDArray[np.intp]:
    """Return the rows of an office that the caller may see."""
    return np.flatnonzero(view.is_visible & own & (view.snapshot.columns["office"] == office))


def candidate_table(view: View, rows: npt.NDArray[np.intp]) -> pd.DataFrame:
    """Return the table of candidates that `make_plan` takes.

    The expected yield is the first head's calibrated probability. A dealer never inspected is
    unseen since it was first listed, and for ever when that is not known.
    """
    columns = view.snapshot.columns
    as_of = np.datetime64(view.snapshot.as_of, "s")
    last, eligible = columns["last_inspected_on"][rows], columns["eligible_on"][rows]
    listed_days = _signal(view, rows, _YEARS_LISTED) * DAYS_A_YEAR
    since_visit = (as_of - last).astype("timedelta64[D]").astype(np.float64)
    unseen = np.where(
        np.isnat(last), np.where(np.isnan(listed_days), np.inf, listed_days), since_visit
    )
    sales = pd.Series(_signal(view, rows, _SALES))
    return pd.DataFrame(
        {
            "dealer": columns["dealer"][rows],
            "latitude": columns["latitude"][rows],
            "longitude": columns["longitude"][rows],
            "expected_yield": columns[view.snapshot.heads[0]][rows].astype(np.float64),
            "hours": expected_hours(sales),
            "eligible_on": np.where(np.isnat(eligible), as_of, eligible),
            "is_recall_due": columns["is_recall_due"][rows].astype(bool),
            "unseen_days": unseen,
        }
    )


def _signal(view: View, rows: npt.NDArray[np.intp], name: str) -> Floats:
    names = [signal["name"] for signal in view.snapshot.bundle.signals]
    if name not in names:
        return np.full(len(rows), np.nan)
    return np.asarray(view.snapshot.inputs[rows, names.index(name)], dtype=np.float64)
