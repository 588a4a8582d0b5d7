"""A comparison of two candidates as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.evaluation.head_evaluation import CURVE
from training.pages import plots
from training.pages.page import NOT_SAID, Page, Plot, Section, format_interval, words


def comparison_page(found: Mapping[str, Any]) -> Page:
    """Lay out what `training.studies.comparison.compare_candidates` found."""
    heads, one, other = found["heads"], found["candidate"], found["against"]
    gains = {words(h): e["recall_gain"] for h, e in heads.items() if "recall_gain" in e}
    summary = Section(
        "Side by side",
        f"Recall in the first {found['capacity']:.0%} of the rows both were judged on, and the "
        "paired difference, by cluster.",
        columns=("head", "rows", "positive", one, other, "gain in recall", "lists shared"),
        rows=[_row(head, entry, (one, other)) for head, entry in heads.items()],
        plots=(
            Plot(
                plots.forest(gains, label="gain in recall at capacity", null=0.0),
                f"Red: {one} finds more. Blue: {other} does. Grey: cannot be told.",
            ),
        )
        if gains
        else (),
    )
    return Page(
        f"Candidate {one} against {other}",
        sections=(summary, *(_curves(h, e, found) for h, e in heads.items() if "curves" in e)),
        advice=[_sentence(head, entry, (one, other)) for head, entry in heads.items()],
    )


def _row(head: str, entry: Mapping[str, Any], numbers: tuple[str, str]) -> list[str]:
    cells = [words(head), f"{entry['n']:,}", f"{entry['n_positive']:,}"]
    if "recall_gain" not in entry:
        return [*cells, *[NOT_SAID] * 4]
    return [
        *cells,
        *(f"{entry['recall'][number]:.3f}" for number in numbers),
        format_interval(entry["recall_gain"]),
        f"{entry['list_overlap']:.0%}",
    ]


def _curves(head: str, entry: Mapping[str, Any], found: Mapping[str, Any]) -> Section:
    labels = ("share of dealers inspected", "share found")
    drawn = plots.lines(CURVE.tolist(), entry["curves"], labels=labels, mark=found["capacity"])
    return Section(words(head), plots=(Plot(drawn, "Gain of both on the same rows."),))


def _sentence(head: str, entry: Mapping[str, Any], numbers: tuple[str, str]) -> str:
    gain = entry.get("recall_gain")
    if gain is None:
        return f"{words(head)}: no positive row was judged under both."
    if gain["low"] > 0:
        return f"{words(head)}: {numbers[0]} finds more."
    if gain["high"] < 0:
        return f"{words(head)}: {numbers[1]} finds more."
    return f"{words(head)}: the two cannot be told apart on these rows."
