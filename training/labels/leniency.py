"""How strict each division and investigator is, fitted on the past, and taken out of labels.

What an inspection finds depends on who inspects. A model that learns from raw findings learns
the inspectors. Strictness is the ratio of severe findings to those expected of the same dealers
from their signals, shrunk toward one (gamma-Poisson empirical Bayes); a severe finding by one
twice as strict as the rest counts half in training. Nobody's identity is ever an input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.evaluation.metrics import Ranking

Floats = npt.NDArray[np.float64]
LIMITS = (0.4, 2.5)


@dataclass(frozen=True)
class Strictness:
    """Strictness by group, one being average.

    Parameters
    ----------
    column : str
        What is compared: ``division`` or ``investigator``.
    ratio : Series
        Shrunken ratio by group.
    prior_n : float
        Expected findings at which a group's own figure and the average weigh the same.
    """

    column: str
    ratio: pd.Series
    prior_n: float

    def of(self, groups: pd.Series) -> Floats:
        """Strictness of each row; one for a group not seen before, shape (n,)."""
        return groups.map(self.ratio).fillna(1.0).to_numpy(dtype=np.float64)


def fit_strictness(groups: pd.Series, y: Floats, expected: Floats, *, column: str) -> Strictness:
    """Compare findings with those expected of the same dealers.

    Parameters
    ----------
    groups : Series of shape (n,)
        Division or investigator of each past inspection.
    y, expected : array of shape (n,)
        Severe or not, and the held-out probability from signals alone.
    """
    frame = pd.DataFrame({"group": groups.to_numpy(), "y": y, "e": expected})
    sums = frame.groupby("group")[["y", "e"]].sum()
    sums["e"] *= sums["y"].sum() / sums["e"].sum()
    # Method of moments: Var(y/e) = 1/e + between-group variance.
    weight = sums["e"] / sums["e"].sum()
    spread = float((weight * (sums["y"] / sums["e"] - 1.0) ** 2).sum())
    noise = float((weight / sums["e"]).sum())
    between = max(spread - noise, 1e-4)
    prior = 1.0 / between
    ratio = ((sums["y"] + prior) / (sums["e"] + prior)).clip(*LIMITS)
    return Strictness(column, ratio, prior)


def label_weights(y: Floats, strictness: Floats) -> Floats:
    """Weight of each label with strictness taken out: a severe finding counts ``1 / strictness``.

    The weights of severe findings average one: strictness says who found more, not how much there
    is to find, and taken from the same findings it would remove some of them for good.

    >>> label_weights(np.array([1.0, 1.0, 0.0]), np.array([2.0, 0.5, 2.0])).tolist()
    [0.4, 1.6, 1.0]
    """
    found = y > 0
    inverse = 1.0 / strictness
    mean = float(inverse[found].mean()) if found.any() else 1.0
    return np.where(found, inverse / mean, 1.0)


def three_gains(
    rows: pd.DataFrame, *, share: float, within: Sequence[tuple[str, str]]
) -> dict[str, float | None]:
    """Precision at capacity over the base rate: in all, and with each inspector's share fixed.

    Much of what targeting seems to gain can be who was sent. With assignment held fixed each
    group inspects the same number of its own dealers as in a random list.

    Parameters
    ----------
    rows : DataFrame
        Inspected rows: ``y``, ``weight``, ``score`` and the group columns.
    within : sequence of (name, column)
        The gains to state beside the total.
    """
    weight = rows["weight"].to_numpy(dtype=np.float64)
    y = rows["y"].to_numpy(dtype=np.float64)
    rate = float(np.average(y, weights=weight))
    if rate <= 0:
        return {"total": None, **{name: None for name, _ in within}}
    out: dict[str, float | None] = {"total": _precision(rows, share) / rate}
    for name, column in within:
        found, seen = 0.0, 0.0
        for _, part in rows.groupby(column, observed=True):
            total = float(part["weight"].sum())
            found += _precision(part, share) * total
            seen += total
        out[name] = found / seen / rate if seen else None
    return out


def _precision(rows: pd.DataFrame, share: float) -> float:
    weight: npt.NDArray[Any] = rows["weight"].to_numpy(dtype=np.float64)
    y = rows["y"].to_numpy(dtype=np.float64)
    found = Ranking(rows["score"]).captured(y, share=share, weight=weight)
    return found / (share * float(weight.sum()))
