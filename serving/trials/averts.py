"""What an inspection averts: dealers drawn at random against those that could have been drawn.

Every dealer of a draw's frame had the same chance, so what becomes of the drawn and of the others
differs by the visit alone. Effects are small beside how dealers differ: where the interval does not
tell, it is said that it does not.

References
----------
Johnson, Levine and Toffel (2023), injuries averted by randomly assigned inspections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t

from features.arrays import Flags, Floats
from features.domain.asof import add_months
from features.reference.attribution import COLUMNS, counts_toward_dealer
from features.reference.legal.short_time_to_crime import is_short
from features.warehouse import Warehouse

# Counts of traces are so uneven that fewer drawn dealers have no mean to speak of.
MIN_DRAWN: Final = 30
FOLLOWED_MONTHS: Final = 24
LEVEL: Final = 0.95


@dataclass(frozen=True)
class Frame:
    """Who could have been drawn for a list, and who was.

    Parameters
    ----------
    list_id : str
    as_of : date
    dealer : array of str, shape (n,)
    is_drawn : array of bool, shape (n,)
    """

    list_id: str
    as_of: date
    dealer: npt.NDArray[np.object_]
    is_drawn: Flags


@dataclass(frozen=True)
class Averted:
    """Mean of the drawn less that of the others, a dealer; below zero is averted.

    Parameters
    ----------
    value, low, high : float
    mean_others : float
        Mean of those not drawn.
    n_drawn, n_others : int
    """

    value: float
    low: float
    high: float
    mean_others: float
    n_drawn: int
    n_others: int

    @property
    def can_be_said(self) -> bool:
        """Whether the interval tells the effect from none, with enough drawn to trust it."""
        return self.n_drawn >= MIN_DRAWN and (self.high < 0.0 or self.low > 0.0)


def later_traces(warehouse: Warehouse, frame: Frame, *, today: date) -> Floats:
    """Count firearms sold after the list and traced soon, known within `FOLLOWED_MONTHS`, (n,)."""
    until = min(add_months(frame.as_of, FOLLOWED_MONTHS), today)
    columns = ["dealer", "sold_on", "recovered_on", *COLUMNS]
    traces = warehouse.read("traces", as_of=until, columns=columns).to_pandas(date_as_object=False)
    days = (traces["recovered_on"] - traces["sold_on"]).dt.days
    own = traces[
        is_short(days)
        & counts_toward_dealer(traces)
        & (traces["sold_on"] >= pd.Timestamp(frame.as_of))
    ]
    counts = own["dealer"].value_counts()
    return pd.Series(frame.dealer).map(counts).fillna(0.0).to_numpy(dtype=np.float64)


def averted(outcomes: Sequence[tuple[Floats, Flags]]) -> Averted | None:
    """Compare drawn and other dealers within each list, and pool the lists by who was drawn.

    Parameters
    ----------
    outcomes : sequence of (array, array of bool), each of shape (n,)
        What became of the frame of each list, and who was drawn.

    Returns
    -------
    Averted or None
        None when fewer than two were drawn, or nobody was left.
    """
    used = [(y, drawn) for y, drawn in outcomes if drawn.sum() >= 2 and (~drawn).sum() >= 2]
    n = np.array([drawn.sum() for _, drawn in used], dtype=np.float64)
    if not len(n):
        return None
    share = n / n.sum()
    value = float(
        sum(s * (y[d].mean() - y[~d].mean()) for s, (y, d) in zip(share, used, strict=True))
    )
    parts = [
        (s**2 * y[d].var(ddof=1) / d.sum(), s**2 * y[~d].var(ddof=1) / (~d).sum())
        for s, (y, d) in zip(share, used, strict=True)
    ]
    of_drawn, of_others = (float(sum(part)) for part in zip(*parts, strict=True))
    error = float(np.sqrt(of_drawn + of_others))
    # Satterthwaite: few drawn beside many others leave about as many degrees as were drawn.
    df = max(float(n.sum()) - len(n), 1.0)
    if of_drawn > 0:
        df *= (of_drawn + of_others) ** 2 / of_drawn**2
    reach = float(t.ppf((1.0 + LEVEL) / 2.0, df)) * error
    others = np.concatenate([y[~d] for y, d in used])
    return Averted(
        value, value - reach, value + reach, float(others.mean()), int(n.sum()), len(others)
    )
