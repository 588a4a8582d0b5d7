"""Plots of a report, each as SVG text."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from training.evaluation import CURVE

# Letters stay text, identifiers do not depend on the clock: equal input gives equal bytes.
mpl.rcParams.update({"svg.hashsalt": "ffl-risk", "svg.fonttype": "none", "font.size": 9})
_BLUE, _GREY = "#1f4e79", "#8a8a8a"


def gain_curve(entry: Mapping[str, Any], *, capacity: float) -> str:
    """Share of the positives found against the share of dealers inspected."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, values in entry["curves"].items():
        is_model = name == "score"
        axes.plot(
            CURVE,
            values,
            color=_BLUE if is_model else None,
            lw=2.4 if is_model else 1.0,
            alpha=1.0 if is_model else 0.7,
            label="model" if is_model else name.replace("_", " "),
        )
    axes.plot([0, 1], [0, 1], ls=":", color=_GREY, lw=1)
    axes.axvline(capacity, ls="--", color=_GREY, lw=1)
    axes.set(xlabel="share of dealers inspected", ylabel="share found", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=7, frameon=False)
    return _svg(figure)


def calibration(entry: Mapping[str, Any]) -> str:
    """Predicted against observed rate, in bins of equally many dealers."""
    curve = entry["calibration"]
    figure = Figure(figsize=(3.6, 3.6), layout="constrained")
    axes = figure.subplots()
    top = 1.1 * max(*curve["predicted"], *curve["observed"])
    axes.plot([0, top], [0, top], ls=":", color=_GREY, lw=1)
    axes.plot(curve["predicted"], curve["observed"], marker="o", color=_BLUE)
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, top), ylim=(0, top))
    return _svg(figure)


def contributions(summary: Mapping[str, Any], *, n: int = 15) -> str:
    """Mean absolute contribution of the signals that matter most."""
    names, sizes = summary["signal"][:n][::-1], summary["mean_absolute"][:n][::-1]
    raises = [d > 0 for d in summary["direction"][:n][::-1]]
    figure = Figure(figsize=(6.2, 0.4 + 0.25 * len(names)), layout="constrained")
    axes = figure.subplots()
    colors = ["#b3432b" if up else _BLUE for up in raises]
    axes.barh(np.arange(len(names)), sizes, color=colors)
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_xlabel("mean absolute contribution (log-odds); red: more is riskier, blue: safer")
    return _svg(figure)


def lines(x: list[float], series: Mapping[str, list[float]], *, labels: tuple[str, str]) -> str:
    """Draw several lines over one axis, for learning curves and yields."""
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, values in series.items():
        axes.plot(x, values, marker="o", ms=3, label=name.replace("_", " "))
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.legend(fontsize=7, frameon=False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
