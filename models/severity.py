"""What counts as a severe finding, and at which visits: one rule for labels, trials and answers."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import did_you_mean
from features.reference.legal.citation import is_cited, normalize_column
from features.reference.legal.outcome import LADDER
from models.errors import PolicyError
from models.policy import SevereFinding

# What is read of violations to tell a severe finding.
VIOLATIONS: Final = ("inspection_id", "citation", "instances")
# Kinds of visit and reasons of selection that follow from an earlier finding.
_FOLLOW_UPS: Final = frozenset({"recall"})
_TARGET_KIND: Final = "compliance"


def is_independent(kind: str, selected_by: str) -> bool:
    """Whether a visit tells something of its own: a compliance inspection that follows no finding.

    Closed, it is what a label may rest on.

    >>> is_independent("compliance", "risk"), is_independent("compliance", "recall")
    (True, False)
    """
    return kind == _TARGET_KIND and not {kind, selected_by} & _FOLLOW_UPS


def independent(visits: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each visit is independent by its ``kind`` and ``selected_by``, shape (n,).

    >>> visits = [("compliance", "risk"), ("compliance", "recall"), ("trace", "risk")]
    >>> told = independent(pd.DataFrame(visits, columns=["kind", "selected_by"])).tolist()
    >>> told == [is_independent(*visit) for visit in visits]
    True
    """
    is_target = visits["kind"].eq(_TARGET_KIND)
    follows = visits["kind"].isin(_FOLLOW_UPS) | visits["selected_by"].isin(_FOLLOW_UPS)
    return np.asarray(is_target & ~follows, dtype=np.bool_)


def check_rule(rule: SevereFinding, name: str) -> None:
    """Refuse a rule whose outcome is no step of the ladder above none.

    Here and not where a policy is read: a bundle is loaded without the law.

    Raises
    ------
    PolicyError
        With the steps there are.
    """
    if rule.outcome_at_least not in LADDER:
        raise PolicyError(
            f"{name}: severe_finding.outcome_at_least is no step of the ladder"
            f"{did_you_mean(rule.outcome_at_least, LADDER, end='.')}",
            found=repr(rule.outcome_at_least),
            expected=", ".join(LADDER),
        )
    if rule.outcome_at_least == "none":
        raise PolicyError(
            f"{name}: with severe_finding.outcome_at_least at 'none' every visit is severe.",
            expected=", ".join(step for step in LADDER if step != "none"),
        )


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
