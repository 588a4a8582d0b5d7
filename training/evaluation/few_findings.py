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

from math import ceil
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import binomtest, mannwhitneyu

from features.arrays import Floats
from features.domain.number_words import counted
from training.evaluation.head_evaluation import list_membership
from training.evaluation.metrics import LEVEL

# Ten for each of two numbers that are fitted (Peduzzi and others 1996).
FEW_FINDINGS: Final = 20
TAIL: Final = (1.0 - LEVEL) / 2.0


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


def ranks_beyond_chance(score: Floats, y: Floats, *, is_higher: bool) -> bool:
    """Whether findings rank higher (lower) than the rest beyond chance.

    >>> score = np.arange(40.0)
    >>> ranks_beyond_chance(score, (score >= 37).astype(float), is_higher=True)
    True
    >>> ranks_beyond_chance(score, (score == 38).astype(float), is_higher=True)
    False
    """
    found = y > 0
    if not found.any() or found.all():
        return False
    way = "greater" if is_higher else "less"
    test = mannwhitneyu(score[found], score[~found], alternative=way)
    return bool(test.pvalue <= TAIL)


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
    here, there = (list_membership(rows[name], capacity)[found] for name in (ours, other))
    ahead = here - there
    more, fewer = int(ahead[ahead > 0].sum()), ceil(-ahead[ahead < 0].sum())
    if more + fewer == 0:
        return False
    test = binomtest(more, more + fewer, 0.5, alternative="greater")
    return bool(test.pvalue <= (1.0 - level) / 2.0)
