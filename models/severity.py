"""What counts as a severe finding: one rule for labels, trials and whoever else asks."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.reference.legal.citation import is_cited, normalize_column
from features.reference.legal.outcome import LADDER
from models.policy import SevereFinding

# What is read of violations to tell a severe finding.
VIOLATIONS: Final = ("inspection_id", "citation", "instances")


def severe(
    visits: pd.DataFrame, violations: pd.DataFrame, rule: SevereFinding
) -> npt.NDArray[np.float64]:
    """Whether each visit ended in a severe finding: citations before action taken, shape (n,).

    Parameters
    ----------
    visits : DataFrame of shape (n,)
        ``inspection_id``, ``outcome`` and ``firearms_unaccounted_final``.
    violations : DataFrame
        `VIOLATIONS`; what was taken back counts for nothing.
    """
    violations = violations[is_cited(violations)]
    floor = LADDER[rule.outcome_at_least]  # type: ignore[index]
    ladder = visits["outcome"].map(LADDER).fillna(-1).to_numpy()
    tier = normalize_column(violations["citation"])["tier"].fillna(3).to_numpy(dtype=np.int64)
    n_serious = violations["inspection_id"][tier == 1].value_counts()
    cited = visits["inspection_id"].map(n_serious).fillna(0).to_numpy(dtype=np.float64)
    missing = visits["firearms_unaccounted_final"].fillna(0).to_numpy(dtype=np.float64)
    is_severe = (
        (ladder >= floor)
        | (cited >= rule.tier_1_citations_at_least)
        | (missing >= rule.unaccounted_firearms_at_least)
    )
    return np.asarray(is_severe, dtype=np.float64)
