"""Whether an order finds more than chance with who looked held fixed.

Only visits of somebody who found something in some of them and nothing in others say anything:
within a single visit, or visits that all ended alike, every order finds just what chance does.
Visits are somebody's of one judged day, for a list is made of the dealers of a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.domain.number_words import counted
from training.evaluation import few_findings as few
from training.evaluation.head_evaluation import lists_of
from training.evaluation.metrics import bootstrap
from training.evaluation.promotion_verdict import PASSED, REFUSED, UNSAID, Outcome, Verdict

N_RESAMPLES: Final = 300
# Shown to be below this, an order gains nothing worth a visit within the visits of anybody.
NO_GAIN: Final = 1.1


def named_rows(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows of which a column says who looked; ``unknown`` is nobody's name.

    >>> named_rows(pd.DataFrame({"who": ["A", "", None, "unknown"]}), "who")["who"].tolist()
    ['A']
    """
    who = rows[column].astype("string").fillna("").str.strip()
    return rows[(~who.str.casefold().isin({"", "unknown"})).to_numpy()].reset_index(drop=True)


def telling_rows(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the named rows of those who found something in some visits and nothing in others.

    Visits of each judged day are looked at by themselves.

    >>> rows = pd.DataFrame({"who": ["A", "A", "B", "C", "C"], "y": [1.0, 0.0, 1.0, 0.0, 0.0]})
    >>> telling_rows(rows, "who")["who"].tolist()
    ['A', 'A']
    """
    named = named_rows(rows, column)
    found = (named["y"] > 0).groupby([named[column].astype(str), lists_of(named)], observed=True)
    share = found.transform("mean")
    return named[((share > 0) & (share < 1)).to_numpy()].reset_index(drop=True)


class RankingsWithin:
    """Rows of several groups, each group ordered by score as by `Ranking`, asked all at once.

    Parameters
    ----------
    score : array of shape (n,)
        Higher is inspected sooner.
    groups : sequence of int arrays
        Rows of each group; none is in two.

    Examples
    --------
    >>> groups = [np.array([0, 1]), np.array([2, 3])]
    >>> within = RankingsWithin(np.array([0.9, 0.1, 0.5, 0.5]), groups)
    >>> within.captured(np.array([1.0, 0.0, 1.0, 0.0]), share=0.5, weight=np.ones(4))
    1.5
    """

    def __init__(self, score: Floats, groups: Sequence[npt.NDArray[Any]]) -> None:
        if not np.isfinite(score).all():
            raise ValueError("scores must be finite to be ranked")
        self.order = np.concatenate([i[np.argsort(-score[i], kind="stable")] for i in groups])
        owner = np.repeat(np.arange(len(groups)), [len(index) for index in groups])
        ordered = score[self.order]
        is_start = np.ones(len(ordered), dtype=np.bool_)
        is_start[1:] = (ordered[1:] != ordered[:-1]) | (owner[1:] != owner[:-1])
        self.starts = np.flatnonzero(is_start)
        self.owner = owner[self.starts]

    def captured(self, value: Floats, *, share: float, weight: Floats) -> float:
        """Value expected in the first `share` of each group; ties share the last places."""
        w = weight[self.order]
        tied = np.add.reduceat(w, self.starts)
        values = np.add.reduceat(value[self.order] * w, self.starts)
        totals = np.bincount(self.owner, weights=tied)
        reached = np.cumsum(tied) - (np.cumsum(totals) - totals)[self.owner]
        places = share * totals[self.owner] - (reached - tied)
        part = np.clip(places / np.where(tied > 0, tied, 1.0), 0.0, 1.0)
        return float(values @ part)


def gains_within(rows: pd.DataFrame, column: str, *, capacity: float) -> Verdict:
    """Ask that the order find more than chance with each inspector's share of visits fixed.

    Of few findings an exact test must say so, too: findings dealt anew among the visits of each.

    Parameters
    ----------
    column : str
        Who looked; rows without a name do not count.
    """
    wanted = "more than chance within the visits of each, an interval above 1.00"
    telling = telling_rows(rows, column)
    if telling.empty:
        why = "nobody is recorded"
        if len(named_rows(rows, column)):
            why = "nobody found something in some visits and nothing in others"
        return Verdict("within_investigator", "order", UNSAID, why, wanted)
    y = telling["y"].to_numpy(dtype=np.float64)
    weight = telling["weight"].to_numpy(dtype=np.float64)
    visits = telling.groupby([telling[column].astype(str), lists_of(telling)], observed=True)
    groups = [np.asarray(i) for i in visits.indices.values()]
    rankings = RankingsWithin(telling["score"].to_numpy(dtype=np.float64), groups)

    def statistic(drawn: Floats) -> Floats:
        w = drawn * weight
        found = rankings.captured(y, share=capacity, weight=w)
        total = float(w @ y)
        # A resample without a finding says nothing of where findings stand.
        return np.array([found / (capacity * total) if total > 0 else np.nan])

    (gain,) = bootstrap(statistic, telling["cluster"], n_resamples=N_RESAMPLES)
    shown: Outcome = PASSED if gain.low > 1.0 else REFUSED if gain.high < NO_GAIN else UNSAID
    score = telling["score"].to_numpy(dtype=np.float64)
    if few.are_few(y) and not few.ranks_within(score, y, groups, is_higher=shown == PASSED):
        shown = UNSAID
    return Verdict(
        "within_investigator",
        "order",
        shown,
        f"{gain} times chance, by the visits of "
        f"{counted(int(telling[column].nunique()), 'investigator')}"
        f"{few.note(y)}",
        wanted,
        max(0.0, 1.0 - gain.low),
    )
