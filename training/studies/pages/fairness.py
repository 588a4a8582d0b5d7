"""Fairness as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log1p
from typing import Any, Final

from training.pages import plots
from training.pages.page import Page, Plot, Section, format_interval, words

N_PLOTTED: Final = 25
_COLUMNS: Final = (
    "group", "rows", "positive", "share of rows", "share of list", "rate", "mean score",
    "recall", "score over rate", "set against", "reason",
)  # fmt: skip


def fairness_page(found: Mapping[str, Any]) -> Page:
    """Lay out what `training.studies.fairness.fairness` found."""
    return Page(
        f"Who is listed and who is missed: candidate {found['candidate']}",
        lead=(
            "A group has a larger share of the list than of the judged rows for one of two "
            "reasons: its rate of findings is higher (base rate), or the model scores it above "
            "its rate (model); a group scored far off its rate is named even where the list shows "
            "no gap. "
            "Groups with few findings are not judged. Intervals are 95%, by "
            "cluster; nothing is tuned by this table.",
            "Recall is the share of the group's findings that the list would have caught. Score "
            "over rate is the mean score divided by the rate, less one: zero is right. It is set "
            "against findings by the visits that tell the level (drawn ones, where dealers were "
            "chosen); where a group has too few of those, against what all groups together find "
            "of what is served, for whoever chose knew more than the model of every group.",
        ),
        sections=[
            _section(f"{words(head)}, by {words(column)}", groups)
            for head, columns in found["heads"].items()
            for column, groups in columns.items()
        ],
        advice=_advice(found["heads"]),
    )


def _advice(heads: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[str]:
    blamed = [
        (
            abs(log1p(g["bias"]["value"])),
            f"{words(head)}: {words(column)} {g['group']} ({g['bias']['value']:+.0%})",
        )
        for head, columns in heads.items()
        for column, groups in columns.items()
        for g in groups
        if g["reason"] == "model"
    ]
    if not blamed:
        return ["No group's place on the list is the model's doing, as far as the findings show."]
    blamed.sort(reverse=True)
    shown = "; ".join(text for _, text in blamed[:10]) + ("; and more" if len(blamed) > 10 else "")
    return [f"Scored off their rate, the farthest first: {shown}."]


def _section(title: str, groups: Sequence[Mapping[str, Any]]) -> Section:
    judged = sorted((g for g in groups if g["bias"] is not None), key=lambda g: -g["n_positive"])[
        :N_PLOTTED
    ]
    drawn = [
        Plot(
            plots.forest(
                {g["group"]: g["recall"] for g in judged}, label="recall at capacity", null=0.0
            ),
            "Share of each group's findings that the list catches.",
        ),
        Plot(
            plots.forest(
                {g["group"]: g["bias"] for g in judged}, label="score over rate", null=0.0
            ),
            "Red: scored above its rate. Blue: below it.",
        ),
    ]
    return Section(
        title,
        columns=_COLUMNS,
        rows=[_row(g) for g in sorted(groups, key=lambda g: (g["bias"] is None, -g["n"]))],
        plots=drawn if judged else (),
    )


def _row(g: Mapping[str, Any]) -> list[str]:
    return [
        g["group"],
        str(g["n"]),
        str(g["n_positive"]),
        f"{g['dealer_share']:.1%}",
        f"{g['list_share']:.1%}",
        f"{g['rate']:.4f}",
        f"{g['mean_score']:.4f}",
        format_interval(g["recall"], digits=2),
        format_interval(g["bias"], digits=2),
        "-" if g["bias"] is None else g["bias_against"],
        g["reason"],
    ]
