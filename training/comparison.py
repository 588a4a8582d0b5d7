"""Two candidates side by side, on the rows both were judged on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.candidate import Candidate, open_candidate
from training.errors import NotTrainedError
from training.evaluation import list_overlap
from training.gates import recall_differences
from training.promotion import read_champion


def compare_candidates(folder: Path, number: str | None, against: str | None) -> dict[str, Any]:
    """Compare a candidate with another, or with the champion.

    Returns
    -------
    dict
        By head: rows in common, both recalls, their paired difference with an interval, and the
        overlap of the two lists at capacity.
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
    return {
        "candidate": one.number,
        "against": other.number,
        "heads": {head: _compare_head(one, other, head) for head in shared},
    }


def _compare_head(one: Candidate, other: Candidate, head: str) -> dict[str, Any]:
    capacity = float(one.evaluation["capacity"])
    key = ["dealer", "as_of"]
    theirs = other.held_out(head)[[*key, "score"]].rename(columns={"score": "other"})
    rows = one.held_out(head).merge(theirs, on=key, how="inner", validate="one_to_one")
    if rows["y"].sum() == 0:
        return {"n": len(rows)}
    value, low, high = recall_differences(rows, ["other"], capacity=capacity)["other"]
    return {
        "n": len(rows),
        "n_positive": int((rows["y"] > 0).sum()),
        "recall_gain": {"value": value, "low": low, "high": high},
        "list_overlap": list_overlap(rows["score"], rows["other"], share=capacity),
    }


def comparison_view(found: dict[str, Any]) -> Any:
    """Return the comparison as a table for the terminal."""
    from rich.table import Table

    grid = Table(title=f"Candidate {found['candidate']} against {found['against']}")
    for name in ("head", "rows", "gain in recall at capacity", "lists shared"):
        grid.add_column(name)
    for head, entry in found["heads"].items():
        gain = entry.get("recall_gain")
        words = f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})" if gain else "-"
        shared = f"{entry['list_overlap']:.0%}" if gain else "-"
        grid.add_row(head, str(entry["n"]), words, shared)
    return grid
