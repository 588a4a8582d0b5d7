"""How far consecutive lists of one model agree: inspectors plan by lists that do not jump."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from training.evaluation.documents import PairRecord, StabilityRecord
from training.evaluation.head_evaluation import list_overlap, overlap_by_lot

SHARES: Final = np.round(np.linspace(0.01, 0.5, 50), 2)


def consecutive(scores: Mapping[date, pd.Series], *, capacity: float) -> StabilityRecord:
    """Compare each list with the next.

    Parameters
    ----------
    scores : mapping of date to Series
        Scores by dealer, at each as-of date, of one model.

    Returns
    -------
    dict
        ``pairs``: for each two dates that follow each other, the dealers in both and the share of
        one list on the other at capacity; ``shares`` and ``overlap``: the last two lists at every
        length. Unrelated lists share as much as the list is long.

    Examples
    --------
    >>> first = pd.Series([0.9, 0.1], index=["a", "b"])
    >>> found = consecutive({date(2023, 1, 1): first, date(2024, 1, 1): first}, capacity=0.5)
    >>> found["pairs"][0]["overlap"]
    1.0
    """
    days = sorted(scores)
    pairs: list[PairRecord] = []
    curve: list[float] = []
    for before, after in itertools.pairwise(days):
        both = scores[before].index.intersection(scores[after].index)
        one, other = scores[before][both].to_numpy(), scores[after][both].to_numpy()
        if not len(both):
            continue
        found = overlap_by_lot(one, other, share=capacity)
        pairs.append(
            {
                "before": before.isoformat(),
                "after": after.isoformat(),
                "n_dealers": len(both),
                "overlap": found.value,
                "least": found.least,
                "most": found.most,
            }
        )
        curve = [list_overlap(one, other, share=s) for s in SHARES]
    return {
        "capacity": capacity,
        "pairs": pairs,
        "shares": SHARES.tolist() if curve else [],
        "overlap": curve,
    }
