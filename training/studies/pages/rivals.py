"""Inspectors as rivals of the model, as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.pages import plots
from training.pages.page import NOT_SAID, Page, Plot, Section, format_interval, words
from training.studies.rivals import MIN_EACH


def rivals_page(found: Mapping[str, Any]) -> Page:
    """Lay out what `training.studies.rivals.rivals` found."""
    rates = {words(r["reason"]): r["rate"] for r in found["reasons"] if r["rate"] is not None}
    rival = found["rival"]
    return Page(
        "Were inspectors right to override the list?",
        lead=(
            f"{found['n_decisions']:,} decisions, {found['n_overrides']:,} of them overrides; "
            f"{found['n_inspected']:,} of the dealers were inspected afterwards, "
            f"{found['n_random']:,} because they were drawn at random.",
            "An overridden dealer is visited for a reason of its own, so its rate of findings "
            "need not be that of the others: the bounds say what it could be if every dealer that "
            "was not visited were clean, or none.",
        ),
        advice=[_advice(rival)],
        sections=(
            Section(
                "Reasons",
                columns=(
                    "reason", "of the risk", "decided", "inspected", "severe", "rate", "bounds",
                    "accepted of like priority",
                ),
                rows=[_row(r) for r in found["reasons"]],
                plots=(
                    Plot(
                        plots.forest(rates, label="rate of severe findings", null=float("nan")),
                        "Severe findings among the inspected, by what was decided before.",
                    ),
                ),
            ),
            *([_orders(rival)] if rival is not None else []),
        ),
    )  # fmt: skip


def _orders(rival: Mapping[str, Any]) -> Section:
    share = f"{rival['share_kept']:.0%}"
    return Section(
        "Two orders of the same dealers",
        f"{rival['n']:,} inspected, {rival['n_severe']:,} severe. Both orders are given as many "
        f"visits as the inspectors would have made, {share}.",
        columns=("order", "AUC", "gain in AUC", f"gain in findings at {share}"),
        rows=[
            ["the list", format_interval(rival["auc_list"]), "", ""],
            [
                "the inspectors",
                format_interval(rival["auc_inspectors"]),
                format_interval(rival["auc_gain"]),
                format_interval(rival["recall_gain"]),
            ],
        ],
    )


def _row(r: Mapping[str, Any]) -> list[str]:
    like = r["rate_of_accepted"]
    return [
        words(r["reason"]),
        "" if r["reason"] == "accept" else "doubts the risk" if r["is_doubt"] else "says nothing",
        f"{r['n']:,}",
        f"{r['n_inspected']:,}",
        f"{r['n_severe']:,}",
        format_interval(r["rate"]),
        f"{r['bounds']['low']:.3f} to {r['bounds']['high']:.3f}",
        NOT_SAID if like is None else f"{like:.3f}",
    ]


def _advice(rival: Mapping[str, Any] | None) -> str:
    if rival is None:
        return (
            f"Too few decided dealers were inspected to compare the orders: {MIN_EACH} severe and "
            f"{MIN_EACH} clean are needed."
        )
    if rival["auc_gain"]["low"] > 0:
        return (
            "The inspectors' order is better: they know something that the signals do not show. "
            "Ask which facts stand behind their reasons, and whether a table could hold them."
        )
    if rival["auc_gain"]["high"] < 0:
        return "The list's own order is better than the inspectors'."
    return "The two orders cannot be told apart on these visits."
