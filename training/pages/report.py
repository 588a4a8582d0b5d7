"""The report of a training: one HTML page that needs nothing else, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.home import write_atomically, write_json
from features.openjson import Json
from training.pages import page
from training.pages.order import sections
from training.pages.page import Plot, format_interval

__all__ = ["format_interval", "render", "write_report"]


def write_report(evaluation: Mapping[str, Any], folder: Path, *, stem: str) -> Path:
    """Write ``stem.html`` and ``stem.json`` into a folder.

    Returns
    -------
    Path
        The HTML page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{stem}.json", evaluation)
    page = folder / f"{stem}.html"
    write_atomically(page, render(evaluation).encode())
    return page


def render(evaluation: Mapping[str, Any]) -> str:
    """Render the page."""
    heads = {name: _with_table(head) for name, head in evaluation["heads"].items()}
    return page.render(
        "report.html",
        title=evaluation["title"],
        evaluation={**evaluation, "heads": heads},
        sections=sections(evaluation),
        plots=_drawn(json.dumps([evaluation["heads"], evaluation["capacity"]])),
    )


@lru_cache(maxsize=1)
def _drawn(text: str) -> dict[str, list[Plot]]:
    """Draw the heads of an evaluation, given as JSON; a training writes them into two pages."""
    heads, capacity = json.loads(text)
    return {name: _plots(head, capacity) for name, head in heads.items()}


def _with_table(head: Mapping[str, Any]) -> Json:
    figures = [("model", head["model"]), *head["rules"].items()]
    blank = {"recall_gain": None}
    return {**head, "table": [(who, {**blank, **entry}) for who, entry in figures]}


def _plots(head: Mapping[str, Any], capacity: float) -> list[Plot]:
    # Matplotlib takes a second to import; only a report needs it.
    from training.pages import plots

    drawn = [
        Plot(
            plots.gain_curve(head, capacity=capacity),
            f"Gain: what each order would have found; the dashed line is the capacity, "
            f"{capacity:.0%} of dealers.",
        ),
        Plot(
            plots.calibration(head),
            "Calibration: predicted against observed, in ten bins of equally many dealers.",
        ),
    ]
    drawn += _hours_and_stability(head, capacity)
    if head.get("contributions"):
        drawn.append(
            Plot(
                plots.contributions(head["contributions"]),
                "What moves the score: the size of each signal's contribution.",
            )
        )
    return drawn


def _hours_and_stability(head: Mapping[str, Any], capacity: float) -> list[Plot]:
    """Draw yield per hour and list stability, for heads whose entry has them."""
    from training.pages import plots

    drawn = []
    hours, stability = head.get("hours"), head.get("stability")
    if hours and hours["curves"]:
        labels = ("share of dealers inspected", "severe findings per 1,000 hours")
        lines = plots.lines(hours["shares"], hours["curves"], labels=labels, mark=capacity)
        caption = "Severe findings per 1,000 investigator-hours, by the length of the list."
        drawn.append(Plot(lines, caption))
    if stability and stability["overlap"]:
        series = {"model": stability["overlap"], "unrelated lists": stability["shares"]}
        labels = ("share of dealers listed", "share of the list on the next one")
        lines = plots.lines(stability["shares"], series, labels=labels, mark=capacity)
        last = stability["pairs"][-1]
        caption = f"Stability: lists of {last['before']} and {last['after']}, by their length."
        drawn.append(Plot(lines, caption))
    return drawn
