"""Who is listed and who is missed, by group, with intervals and the reason for each gap.

A gap in list share can come from the base rate (the group has more findings), from exposure (it
has more dealers), or from the model (it scores them off their rate). The table tells them apart;
nothing is tuned by it silently.

Whoever chose whom to visit knew more than the model, so that chosen visits find more than is served
in every group alike. A group is therefore set against its findings by the visits that tell the
level, and where too few of those do, against what all groups together find of what is served.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from training.evaluation.calibration_gate import LEVEL_KNOWN
from training.evaluation.candidate import Candidate
from training.evaluation.head_evaluation import GROUP, level_weight, membership
from training.evaluation.metrics import Interval, bootstrap
from training.studies.documents import GroupFairness

Reason = Literal["none", "base rate", "model", "too few"]
N_RESAMPLES = 200
MIN_POSITIVE = 10


def fairness(candidate: Candidate) -> dict[str, dict[str, list[GroupFairness]]]:
    """Report every head of a candidate by every group it was judged by."""
    capacity = float(candidate.evaluation["capacity"])
    return {head: by_group(candidate.held_out(head), capacity) for head in candidate.heads}


def by_group(rows: pd.DataFrame, capacity: float) -> dict[str, list[GroupFairness]]:
    """Report one head: list share, recall, false listings and the reason for each gap.

    Parameters
    ----------
    rows : DataFrame
        A held-out table.
    """
    listed = membership(rows, "score", capacity)
    columns = [c for c in rows.columns if c.startswith(GROUP)]
    return {c.removeprefix(GROUP): _groups(rows, listed, c) for c in columns}


def _groups(rows: pd.DataFrame, listed: Floats, column: str) -> list[GroupFairness]:
    y, w, score = (rows[c].to_numpy(dtype=np.float64) for c in ("y", "weight", "score"))
    cluster = rows["cluster"].to_numpy()
    rate = float(w @ y / w.sum())
    is_known = LEVEL_KNOWN not in rows or bool(rows[LEVEL_KNOWN].all())
    level = level_weight(rows) if is_known else np.zeros(len(rows))
    whole = float((w @ score) / max(float(w @ y), 1e-12))
    out: list[GroupFairness] = []
    for value, index in sorted(rows.groupby(column, observed=True).indices.items()):
        yi, wi, li, si = y[index], w[index], listed[index], score[index]
        entry: GroupFairness = {
            "group": str(value),
            "n": len(index),
            "n_positive": int((yi > 0).sum()),
            "list_share": float(wi @ li / (w @ listed)),
            "dealer_share": float(wi.sum() / w.sum()),
            "rate": float(wi @ yi / wi.sum()),
            "mean_score": float(wi @ si / wi.sum()),
            "recall": None,
            "bias": None,
            "bias_against": "findings",
            "reason": "too few",
        }
        if entry["n_positive"] >= MIN_POSITIVE and len(np.unique(cluster[index])) > 1:
            telling, expected = level[index], 1.0
            if int(((yi > 0) & (telling > 0)).sum()) < MIN_POSITIVE:
                telling, expected, entry["bias_against"] = wi, whole, "all groups"
            recall, bias = _recall_and_bias(
                (yi, wi, li, si), cluster[index], telling=telling, expected=expected
            )
            entry["recall"], entry["bias"] = recall.as_dict(), bias.as_dict()
        entry["reason"] = _reason(entry, rate)
        out.append(entry)
    return out


def _recall_and_bias(
    judged: tuple[Floats, Floats, Floats, Floats],
    cluster: npt.NDArray[Any],
    *,
    telling: Floats,
    expected: float,
) -> list[Interval]:
    """Return the recall of a group, and how far what is served is off what is found.

    Parameters
    ----------
    judged : tuple of arrays
        Findings, weights, places on the list and scores.
    telling : array
        Weights by which the level is told.
    expected : float
        Served over found that a right model has here.
    """
    y, w, listed, score = judged

    def statistic(drawn: Floats) -> Floats:
        weight, level = drawn * w, drawn * telling
        recall = ((weight * y) @ listed) / np.maximum(weight @ y, 1e-12)
        served = (level @ score) / np.maximum(level @ y, 1e-12)
        return np.array([recall, served / expected - 1.0])

    return bootstrap(statistic, cluster, n_resamples=N_RESAMPLES)


def _reason(entry: GroupFairness, rate: float) -> Reason:
    """Say why a group's share of the list differs from its share of dealers."""
    if entry["bias"] is None:
        return "too few"
    gap = entry["list_share"] / max(entry["dealer_share"], 1e-12)
    bias = entry["bias"]
    is_off = bias["low"] > 0 or bias["high"] < 0
    # A group that is scored far off its rate is the model's doing, whether or not the list shows a
    # gap: a lower rate may hide it.
    if is_off and not -0.2 <= bias["value"] <= 0.25:
        return "model"
    if 0.8 <= gap <= 1.25:
        return "none"
    pulls_same_way = (bias["value"] > 0) == (gap > 1)
    return "model" if is_off and pulls_same_way else "base rate"
