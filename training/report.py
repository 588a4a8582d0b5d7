"""The report of a training: one HTML page that needs nothing else, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.home import write_atomically, write_json
from training import pages
from training.pages import Plot, format_interval

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
    return pages.render(
        "report.html",
        title=evaluation["title"],
        evaluation={**evaluation, "heads": heads},
        plots={name: _plots(head, evaluation["capacity"]) for name, head in heads.items()},
    )


def _with_table(head: Mapping[str, Any]) -> dict[str, Any]:
    figures = [("model", head["model"]), *head["rules"].items()]
    blank = {"recall_gain": None}
    return {**head, "table": [(who, {**blank, **entry}) for who, entry in figures]}


def _plots(head: Mapping[str, Any], capacity: float) -> list[Plot]:
    # Matplotlib takes a second to import; only a report needs it.
    from training import plots

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
    if head.get("contributions"):
        drawn.append(
            Plot(
                plots.contributions(head["contributions"]),
                "What moves the score: the size of each signal's contribution.",
            )
        )
    return drawn
