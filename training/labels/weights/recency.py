"""How fast old labels fade: chosen on later years, and not at all where nothing changes.

What goes with a severe finding may change from year to year; then old labels teach what no longer
holds. Half-lives are tried as a later day would try them: a plain model of the visits before each
of the last years, older ones weighing less, is asked about the visits of that year, level and
slope set free, so that only its order tells. Fading is taken only where it is shown to tell more,
over all years together. Nothing beyond the labels given has a part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from features.arrays import Floats
from models.linear import losses
from training.evaluation.documents import RecencyRecord
from training.labels.ridge import PENALTY, posed

HALF_LIVES: Final = (4.0, 2.0, 1.0)
_YEAR: Final = 365.25
# Years that are asked, and the findings that a year, and what stands before it, must hold.
_N_YEARS: Final = 3
_MIN_ASKED, _MIN_BEFORE = 10, 25
# Visits that tell how fast they fade.
_MAX_ROWS: Final = 6_000
# Standard errors. Where relations turn, fading gains many; taken by chance (at 2.4 in a simulated
# country where nothing changed) it cost a list a tenth of what it finds.
_SHOWN: Final = 3.0


@dataclass(frozen=True)
class Recency:
    """How fast labels fade, and what was tried.

    Parameters
    ----------
    half_life : float or None
        Years after which a label weighs half; None when nothing shows that labels fade.
    tried : tuple of (float, float, float)
        Half-life, gain in log loss over labels that do not fade, and its standard error.
    n_asked : int
        Visits of later years that were asked.
    """

    half_life: float | None
    tried: tuple[tuple[float, float, float], ...] = ()
    n_asked: int = 0

    def weights(self, period: npt.NDArray[Any]) -> Floats:
        """Return how much each label weighs, 1 for the newest, shape (n,).

        Examples
        --------
        >>> days = np.array(["2022-01-01", "2024-01-01"], dtype="datetime64[s]")
        >>> Recency(2.0).weights(days).round(2).tolist()
        [0.5, 1.0]
        >>> Recency(None).weights(days).tolist()
        [1.0, 1.0]
        """
        if self.half_life is None or not len(period):
            return np.ones(len(period))
        return _faded(_ages(period, np.max(period)), self.half_life)

    def entry(self) -> RecencyRecord:
        """Return it for a report."""
        return {
            "half_life_years": self.half_life,
            "n_asked": self.n_asked,
            "tried": [
                {"half_life_years": years, "gain": gain, "error": error}
                for years, gain, error in self.tried
            ],
        }


def fit_recency(
    X: pd.DataFrame,
    labels: tuple[Floats, Floats],
    offset: Floats,
    period: npt.NDArray[Any],
    *,
    seed: int = 0,
) -> Recency:
    """Choose how fast labels fade.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        Signals of inspected rows.
    labels : tuple of arrays, each of shape (n,)
        Finding or not, and weight.
    offset : array of shape (n,)
        Log-odds of each row that are not the dealer's.
    period : array of datetime of shape (n,)
        As-of date of each row.
    """
    y, weight = labels
    rows = _some(len(y), seed)
    X, y, weight = X.iloc[rows], y[rows], weight[rows]
    offset, period = offset[rows], period[rows]
    choices: tuple[float | None, ...] = (None, *HALF_LIVES)
    told: dict[float | None, list[Floats]] = {half: [] for half in choices}
    asked_weight: list[Floats] = []
    for day in np.unique(period)[1:][-_N_YEARS:]:
        before, now = period < day, period == day
        if y[now].sum() < _MIN_ASKED or y[before].sum() < _MIN_BEFORE:
            continue
        if len(np.unique(period[before])) < 2:
            continue  # of one date nothing is older
        ages, start = _ages(period[before], day), None
        ridge, problem = posed(X[before], y[before], weight[before])
        features = ridge.features(X[now])
        for half in choices:
            faded = weight[before] * (1.0 if half is None else _faded(ages, half))
            asked = replace(problem, w=faded / faded.mean(), offset=offset[before])
            start = asked.solve(PENALTY, start)
            margin = _set_free(start[0] + features @ start[1:], offset[now], y[now], weight[now])
            told[half].append(losses("binary", y[now], margin))
        asked_weight.append(weight[now])
    if not asked_weight:
        return Recency(None)
    w = np.concatenate(asked_weight)
    plain = np.concatenate(told[None])
    tried = tuple((half, *_gain(plain - np.concatenate(told[half]), w)) for half in HALF_LIVES)
    return Recency(_mildest(tried), tried, len(w))


def _mildest(tried: Sequence[tuple[float, float, float]]) -> float | None:
    """Return the longest half-life shown to tell more that may be as good as the best one.

    Faded labels are fewer: what tells no more for it is not worth them.

    Examples
    --------
    >>> _mildest([(4.0, 0.010, 0.003), (2.0, 0.012, 0.004), (1.0, 0.013, 0.008)])
    4.0
    >>> _mildest([(4.0, 0.010, 0.003), (2.0, 0.030, 0.004), (1.0, 0.060, 0.008)])
    1.0
    """
    shown = [one for one in tried if one[1] > _SHOWN * one[2]]
    if not shown:
        return None
    _, most, error = max(shown, key=lambda one: one[1])
    return max(half for half, gain, _ in shown if gain >= most - error)


def _some(n: int, seed: int) -> npt.NDArray[np.int64]:
    if n <= _MAX_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:_MAX_ROWS])


def _ages(period: npt.NDArray[Any], day: Any) -> Floats:
    return np.asarray((day - period) / np.timedelta64(1, "D") / _YEAR, dtype=np.float64)


def _faded(ages: Floats, half_life: float) -> Floats:
    return np.asarray(0.5 ** (ages / half_life), dtype=np.float64)


def _set_free(margin: Floats, offset: Floats, y: Floats, weight: Floats) -> Floats:
    """Return margins at the level and slope by which they tell most of what was found.

    How hard the plain model is shrunk is no matter of time: faded labels are fewer, and would tell
    more or less for that alone.
    """
    design = np.column_stack([np.ones_like(margin), margin - margin.mean()])
    theta = np.array([0.0, 1.0])
    for _ in range(20):
        p = expit(design @ theta + offset)
        information = (design * (weight * p * (1.0 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(information, design.T @ (weight * (y - p)))
        theta = theta + np.clip(step, -2.0, 2.0)
    return np.asarray(design @ theta + offset, dtype=np.float64)


def _gain(difference: Floats, weight: Floats) -> tuple[float, float]:
    """Weighted mean of a difference, and its standard error."""
    total = float(weight.sum())
    mean = float(weight @ difference) / total
    return mean, float(np.sqrt(((weight * (difference - mean)) ** 2).sum())) / total
