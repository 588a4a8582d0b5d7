"""What few findings show, exactly: resampling them gives intervals that are too narrow.

Three findings that all rank high do so by chance once in eight times, and a resample of them never
tells: its intervals end at the lowest and the highest of the three. Below `FEW_FINDINGS` an order
is therefore shown to be better or worse only where an exact test says so, too. Weights have no part
in it: they make findings worth fewer than they are, never more.

References
----------
Mann and Whitney (1947); McNemar (1947), pairs in which two orders differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import binomtest, mannwhitneyu, norm, rankdata

from features.arrays import Floats
from features.domain.number_words import counted
from training.evaluation.head_evaluation import lists_of, membership
from training.evaluation.metrics import LEVEL, Interval

# Ten for each of two numbers that are fitted (Peduzzi and others 1996).
FEW_FINDINGS: Final = 20
TAIL: Final = (1.0 - LEVEL) / 2.0
_SHUFFLES: Final = 1999
_WHOLE: Final = 1.0 - 1e-9  # a difference of all findings, but for rounding
_AT_ONCE: Final = 2_000_000  # random numbers that are held together


def are_few(y: Floats) -> bool:
    """Whether findings are so few that resampling them says too much.

    >>> are_few(np.ones(19)), are_few(np.ones(20))
    (True, False)
    """
    return int(np.count_nonzero(y > 0)) < FEW_FINDINGS


def note(y: Floats) -> str:
    """Say beside an interval that findings are too few for it; empty where they are not.

    >>> note(np.ones(8)), note(np.ones(20))
    ('; of 8 findings, which an exact test judges', '')
    """
    n = int(np.count_nonzero(y > 0))
    return f"; of {counted(n, 'finding')}, which an exact test judges" if are_few(y) else ""


def ranks_beyond_chance(rows: pd.DataFrame, *, is_higher: bool) -> bool:
    """Whether findings rank higher (lower) than the rest of their lists beyond chance.

    Parameters
    ----------
    rows : DataFrame
        A held-out table.

    Examples
    --------
    >>> rows = pd.DataFrame({"score": np.arange(40.0), "y": np.arange(40) >= 37})
    >>> ranks_beyond_chance(rows, is_higher=True)
    True
    >>> ranks_beyond_chance(rows.assign(y=rows["score"] == 38), is_higher=True)
    False
    """
    score, found = rows["score"].to_numpy(dtype=np.float64), (rows["y"] > 0).to_numpy()
    if not found.any() or found.all():
        return False
    days, day = np.unique(lists_of(rows), return_inverse=True)
    if len(days) > 1:
        lists = [np.flatnonzero(day == d) for d in range(len(days))]
        return ranks_within(score, found.astype(np.float64), lists, is_higher=is_higher)
    way = "greater" if is_higher else "less"
    test = mannwhitneyu(score[found], score[~found], alternative=way)
    return bool(test.pvalue <= TAIL)


def ranks_within(
    score: Floats, y: Floats, groups: Sequence[npt.NDArray[Any]], *, is_higher: bool
) -> bool:
    """Whether findings rank higher (lower) within their groups than dealt by chance.

    Parameters
    ----------
    groups : sequence of int arrays
        Rows of each group.
    """
    rng = np.random.default_rng(0)
    seen, dealt = 0.0, np.zeros(_SHUFFLES)
    for index in groups:
        found = y[index] > 0
        if not found.any() or found.all():
            continue
        place = rankdata(score[index]) / (len(index) + 1)
        seen += float(place[found].sum())
        dealt += _dealt(place, int(found.sum()), rng)
    as_far = dealt >= seen - 1e-9 if is_higher else dealt <= seen + 1e-9
    return bool((1 + as_far.sum()) / (1 + _SHUFFLES) <= TAIL)


def _dealt(place: Floats, n_found: int, rng: np.random.Generator) -> Floats:
    """Return the sum of the places of so many findings, dealt anew many times."""
    step = max(1, _AT_ONCE // len(place))
    out = [
        place[
            np.argpartition(
                rng.random((min(step, _SHUFFLES - at), len(place))), n_found - 1, axis=1
            )[:, :n_found]
        ].sum(axis=1)
        for at in range(0, _SHUFFLES, step)
    ]
    return np.concatenate(out)


def catches_more(
    rows: pd.DataFrame, ours: str, other: str, *, capacity: float, level: float = LEVEL
) -> bool:
    """Whether one order's list holds findings that another's does not, beyond chance.

    Findings on both lists, or on neither, say nothing of which is better. Where rows tie for the
    last places, a finding among them counts by its chance of a place, in all rounded down.

    Parameters
    ----------
    rows : DataFrame
        Judged rows.
    ours, other : str
        Columns of the two orders.
    level : float
        How sure, both ways together; higher where one of several orders is asked about.
    """
    found = rows["y"].to_numpy(dtype=np.float64) > 0
    here, there = (membership(rows, name, capacity)[found] for name in (ours, other))
    ahead = here - there
    more, fewer = int(ahead[ahead > 0].sum()), ceil(-ahead[ahead < 0].sum())
    if more + fewer == 0:
        return False
    test = binomtest(more, more + fewer, 0.5, alternative="greater")
    return bool(test.pvalue <= (1.0 - level) / 2.0)


def difference_of_lists(
    rows: pd.DataFrame, ours: str, other: str, *, capacity: float, level: float = LEVEL
) -> Interval:
    """Difference of two lists' recalls, with the bounds that paired findings allow.

    Parameters
    ----------
    rows : DataFrame
        Judged rows.
    ours, other : str
        Columns of the two orders.
    """
    on = {name: membership(rows, name, capacity) for name in (ours, other)}
    return difference_on_lists(rows.assign(**on), ours, other, level=level)


def difference_on_lists(
    rows: pd.DataFrame, ours: str, other: str, *, level: float = LEVEL
) -> Interval:
    """Difference of two lists' recalls; the columns are the places of each row on them.

    A resample of few findings never holds more than they show: where no finding tells two lists
    apart it has no width, and of two dozen it is too narrow. The score interval of a paired
    difference has neither fault; none of n findings leaves a loss of about 4/n.

    References
    ----------
    Tango (1998), score interval of a difference of paired shares.
    """
    found = rows[(rows["y"] > 0).to_numpy()]
    weight = (found["weight"] * found["y"]).to_numpy(dtype=np.float64)
    total = float(weight.sum())
    if total <= 0:
        return Interval(0.0, -1.0, 1.0, level)
    ahead = (found[ours] - found[other]).to_numpy(dtype=np.float64)
    gained = float(weight @ np.maximum(ahead, 0.0)) / total
    lost = float(weight @ np.maximum(-ahead, 0.0)) / total
    # Findings of one cluster vary together; of unequal weight they are worth fewer (Kish).
    codes = np.unique(found["cluster"].to_numpy(), return_inverse=True)[1]
    together = np.bincount(codes, weights=weight)
    n = total**2 / float(together @ together)
    far = float(norm.ppf((1.0 + level) / 2.0))
    return Interval(gained - lost, _end(gained, lost, n, far), _end(gained, lost, n, -far), level)


def _end(gained: float, lost: float, n: float, z: float) -> float:
    """Return the difference whose statistic is `z`, or the end of all that can be."""
    low, high = (_score(gained, lost, n, end) - z for end in (-_WHOLE, _WHOLE))
    if not low > 0 > high:
        return -1.0 if z > 0 else 1.0
    return float(brentq(lambda d: _score(gained, lost, n, d) - z, -_WHOLE, _WHOLE))


def _score(gained: float, lost: float, n: float, difference: float) -> float:
    """Return Tango's statistic of a paired difference; it falls with the difference."""
    d = difference
    b = -gained - lost + (2.0 - gained + lost) * d
    root = np.sqrt(max(b * b + 8.0 * lost * d * (1.0 - d), 0.0))
    only = max(float(root - b) / 4.0, 0.0)
    spread = max(2.0 * only + d * (1.0 - d), 1e-12)
    return float((gained - lost - d) * np.sqrt(n / spread))
