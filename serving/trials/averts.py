"""What an inspection averts: dealers drawn at random against those that could have been drawn.

Every dealer of a draw's frame had the same chance, so what becomes of the drawn and of the others
differs by the visit alone. Effects are small beside how dealers differ: where the interval does not
tell, it is said that it does not. Traces are rare and fall on few dealers, so that the mean of a
few dozen drawn is nothing like normal: the interval is what drawing anew leaves to chance.

References
----------
Fisher (1935) and Rosenbaum (2002), inference from the draw itself.
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

from features.arrays import Flags, Floats
from features.domain.asof import add_months
from features.reference.attribution import COLUMNS, counts_toward_dealer
from features.reference.legal.short_time_to_crime import is_short
from features.warehouse import Warehouse

# Counts of traces are so uneven that fewer drawn dealers have no mean to speak of.
MIN_DRAWN: Final = 30
FOLLOWED_MONTHS: Final = 24
LEVEL: Final = 0.95
_DRAWS: Final = 3999


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
    value = float(sum(w * _difference(y, d) for w, (y, d) in zip(share, used, strict=True)))
    moved = _drawn_anew(used, share)
    low, high = _inverted(value, *moved)
    others = np.concatenate([y[~d] for y, d in used])
    return Averted(value, low, high, float(others.mean()), int(n.sum()), len(others))


def _difference(y: Floats, drawn: Flags) -> float:
    return float(y[drawn].mean() - y[~drawn].mean())


def _drawn_anew(used: Sequence[tuple[Floats, Flags]], share: Floats) -> tuple[Floats, Floats]:
    """Draw as many of each frame anew: differences of outcomes, and of who was truly drawn.

    Returns
    -------
    tuple of array, each of shape (n_draws,)
    """
    rng = np.random.default_rng(0)
    outcome, visited = np.zeros(_DRAWS), np.zeros(_DRAWS)
    for weight, (y, drawn) in zip(share, used, strict=True):
        # Dealers of one outcome are alike but for who was drawn, so that they are drawn by kind.
        kinds, size = np.unique(np.column_stack([y, drawn]), axis=0, return_counts=True)
        n, n_drawn = len(y), int(drawn.sum())
        taken = rng.multivariate_hypergeometric(size, n_drawn, size=_DRAWS) @ kinds
        means = taken / n_drawn - (size @ kinds - taken) / (n - n_drawn)
        outcome += weight * means[:, 0]
        visited += weight * means[:, 1]
    return outcome, visited


def _inverted(value: float, outcome: Floats, visited: Floats) -> tuple[float, float]:
    """Return the effects that the draws do not tell from what was seen.

    With an effect e of each visit, a draw would have differed by ``outcome - e * visited`` and the
    true one by ``value - e``: each draw is at least as far out from one value of e on.
    """
    apart = 1.0 - visited
    is_same = apart < 1e-12
    turn = (value - outcome) / np.where(is_same, 1.0, apart)
    last = int((1.0 - LEVEL) / 2.0 * (len(turn) + 1)) - 1
    low = np.sort(np.where(is_same, -np.inf, turn))[last]
    high = np.sort(np.where(is_same, np.inf, turn))[len(turn) - 1 - last]
    return float(low), float(high)
