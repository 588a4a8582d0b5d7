"""Whether an order finds more than chance with who looked held fixed.

Only visits of somebody who found something in some of them and nothing in others say anything:
within a single visit, or visits that all ended alike, every order finds just what chance does.
Visits are somebody's of one judged day, for a list is made of the dealers of a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.domain.number_words import counted
from training.evaluation import few_findings as few
from training.evaluation.head_evaluation import list_membership, lists_of
from training.evaluation.metrics import Interval, bootstrap, weighted_share
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


def gains_within(rows: pd.DataFrame, column: str, *, capacity: float) -> Verdict:
    """Ask that the order find more than chance with each inspector's share of visits fixed.

    Each inspector's list is given, and what was found is resampled: the lists of a few visits that
    a resample would make hold the same visits twice, and find less than lists of all of them do.
    Few findings on the lists vary by more than resampling them shows. Of few findings in all an
    exact test must say so, too: findings dealt anew among the visits of each.

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
    visits = telling.groupby([telling[column].astype(str), lists_of(telling)], observed=True)
    groups = [np.asarray(i) for i in visits.indices.values()]
    resampled, gain = _gain(telling, groups, capacity=capacity)
    told = resampled if few.are_few(y) else gain
    shown: Outcome = PASSED if told.low > 1.0 else REFUSED if told.high < NO_GAIN else UNSAID
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


def _gain(
    rows: pd.DataFrame, groups: Sequence[npt.NDArray[Any]], *, capacity: float
) -> tuple[Interval, Interval]:
    """Return findings on all lists over what as many visits by chance would find.

    Returns
    -------
    (Interval, Interval)
        As resampled, and with the bounds that few findings on the lists allow.
    """
    y, weight, score = (rows[c].to_numpy(dtype=np.float64) for c in ("y", "weight", "score"))
    owner = np.zeros(len(rows), dtype=np.int64)
    for code, index in enumerate(groups):
        owner[index] = code
    listed = list_membership(score, capacity, within=owner, weight=weight)

    def statistic(drawn: Floats) -> Floats:
        w = drawn * weight
        parts = [w @ (listed * y), w @ listed, w @ y, w.sum()]
        # A resample without a finding, or without a place, says nothing of where findings stand.
        is_told = min(parts[1:]) > 0
        return np.array([(parts[0] / parts[1]) / (parts[2] / parts[3]) if is_told else np.nan])

    (gain,) = bootstrap(statistic, rows["cluster"], n_resamples=N_RESAMPLES)
    if not few.are_few(y * (listed > 0)):
        return gain, gain
    most = float(listed.max())
    share = weighted_share(listed / most, weight * y, rows["cluster"])
    low, high = (most / capacity * end for end in (share.low, share.high))
    return gain, replace(gain, low=min(gain.low, low), high=max(gain.high, high))
