"""Two candidates side by side, on the rows both were judged on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.errors import NotTrainedError
from training.evaluation.candidate import Candidate, open_candidate
from training.evaluation.gates import recall_differences
from training.evaluation.head_evaluation import CURVE, overlap_of, ranking
from training.registry.promotion import read_champion
from training.studies.documents import ComparisonDocument, HeadComparison


def compare_candidates(folder: Path, number: str | None, against: str | None) -> ComparisonDocument:
    """Compare a candidate with another, or with the champion.

    Returns
    -------
    dict
        By head: rows in common, both recalls, their paired difference with an interval, the
        overlap of the two lists at capacity, and both gain curves.

    Raises
    ------
    NotTrainedError
        When there is no champion, or no head in common.
    """
    one = open_candidate(folder, number)
    if against is None:
        champion = read_champion(folder)
        if champion is None:
            raise NotTrainedError(
                "There is no champion to compare with.",
                fix="promote a candidate, or name another with --against",
            )
        against = champion.candidate
    other = open_candidate(folder, against)
    shared = [head for head in one.heads if head in other.heads]
    if not shared:
        raise NotTrainedError(
            f"Candidates {one.number} and {other.number} have no head in common.",
            found=f"{', '.join(one.heads) or 'none'} against {', '.join(other.heads) or 'none'}",
            fix="name a candidate of the same recipe with --against",
        )
    return {
        "capacity": float(one.evaluation["capacity"]),
        "candidate": one.number,
        "against": other.number,
        "heads": {head: _compare_head(one, other, head) for head in shared},
    }


def _compare_head(one: Candidate, other: Candidate, head: str) -> HeadComparison:
    capacity = float(one.evaluation["capacity"])
    key = ["dealer", "as_of"]
    theirs = other.held_out(head)[[*key, "score"]].rename(columns={"score": "other"})
    rows = one.held_out(head).merge(theirs, on=key, how="inner", validate="one_to_one")
    y = rows["y"].to_numpy(dtype=np.float64)
    if y.sum() == 0:
        return {"n": len(rows), "n_positive": 0}
    weight = rows["weight"].to_numpy(dtype=np.float64)
    rankings = {one.number: ranking(rows, "score"), other.number: ranking(rows, "other")}
    gain = recall_differences(rows, ["other"], capacity=capacity)["other"]
    return {
        "n": len(rows),
        "n_positive": int((rows["y"] > 0).sum()),
        "recall_gain": {"value": gain.value, "low": gain.low, "high": gain.high},
        "recall": {
            number: order.captured(y, share=capacity, weight=weight) / float(y @ weight)
            for number, order in rankings.items()
        },
        "list_overlap": overlap_of(rows, "score", "other", share=capacity),
        "curves": {
            number: order.gain_curve(y, CURVE, weight=weight).tolist()
            for number, order in rankings.items()
        },
    }
