"""The report of a training: one HTML page that needs nothing else, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from features.home import write_atomically, write_json

_TEMPLATES = Path(__file__).with_name("templates")


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
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = format_interval
    template = environment.get_template("report.html")
    heads = {name: _with_table(head) for name, head in evaluation["heads"].items()}
    return template.render(
        title=evaluation["title"],
        evaluation={**evaluation, "heads": heads},
        plots={name: _plots(head, evaluation["capacity"]) for name, head in heads.items()},
    )


def format_interval(entry: Mapping[str, float]) -> str:
    """Write an estimate with its bounds.

    >>> format_interval({"value": 0.5, "low": 0.4, "high": 0.6})
    '0.500 (0.400–0.600)'
    """
    return f"{entry['value']:.3f} ({entry['low']:.3f}–{entry['high']:.3f})"


def _with_table(head: Mapping[str, Any]) -> dict[str, Any]:
    figures = [("model", head["model"]), *head["rules"].items()]
    blank = {"recall_gain": None}
    return {**head, "table": [(who, {**blank, **entry}) for who, entry in figures]}


def _plots(head: Mapping[str, Any], capacity: float) -> list[str]:
    # Matplotlib takes a second to import; only a report needs it.
    from training import plots

    drawn = [plots.gain_curve(head, capacity=capacity), plots.calibration(head)]
    if head.get("contributions"):
        drawn.append(plots.contributions(head["contributions"]))
    return drawn
