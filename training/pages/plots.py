"""Plots of a report, each as SVG text."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.head_evaluation import CURVE

# Letters stay text, identifiers do not depend on the clock: equal input gives equal bytes.
mpl.rcParams.update({"svg.hashsalt": "ffl-risk", "svg.fonttype": "none", "font.size": 9})
_BLUE, _RED, _GREY = "#1f4e79", "#b3432b", "#8a8a8a"
# Told apart by people who do not see red and green apart, and by their dashes when printed.
_COLORS: Final = ("#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000")
_DASHES: Final = ("-", "--", "-.", ":")
# Lines that stand in front of the others; the column of a model's scores goes by its use.
FRONT: Final = {"score": "model", "model": "model", "best so far": "best so far"}

Series = Mapping[str, Sequence[float]]
Entry = Mapping[str, float]


def gain_curve(entry: Mapping[str, Any], *, capacity: float) -> str:
    """Share of the positives found against the share of dealers inspected."""
    figure, axes = _canvas(5.6, 3.8)
    _many_lines(axes, CURVE.tolist(), entry["curves"])
    axes.plot([0, 1], [0, 1], ls=":", color=_GREY, lw=1)
    axes.axvline(capacity, ls="--", color=_GREY, lw=1)
    axes.set(xlabel="share of dealers inspected", ylabel="share found", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    return _svg(figure)


def calibration(entry: Mapping[str, Any]) -> str:
    """Predicted against observed rate, in bins of equally many dealers, with 95% intervals.

    Evaluations written before intervals were kept are drawn without.
    """
    curve = entry["calibration"]
    figure, axes = _canvas(3.8, 3.8)
    low, high = (curve.get(f"observed_{end}", curve["observed"]) for end in ("low", "high"))
    top = 1.05 * max(*curve["predicted"], *curve["observed"], *high, 1e-9)
    axes.vlines(curve["predicted"], low, high, color=_BLUE, lw=1, alpha=0.6)
    axes.plot([0, top], [0, top], ls=":", color=_GREY, lw=1)
    axes.plot(curve["predicted"], curve["observed"], marker="o", color=_BLUE)
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, top), ylim=(0, top))
    return _svg(figure)


def contributions(summary: Mapping[str, Any], *, n: int = 15) -> str:
    """Mean absolute contribution of the signals that matter most."""
    names, sizes = summary["signal"][:n][::-1], summary["mean_absolute"][:n][::-1]
    raises = [d > 0 for d in summary["direction"][:n][::-1]]
    figure, axes = _canvas(6.2, 0.6 + 0.25 * len(names))
    axes.barh(np.arange(len(names)), sizes, color=[_RED if up else _BLUE for up in raises])
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_xlabel("mean absolute contribution (log-odds); red: more is riskier, blue: safer")
    return _svg(figure)


def lines(
    x: Sequence[float],
    series: Series,
    *,
    labels: tuple[str, str],
    mark: float | None = None,
    from_zero: bool = True,
) -> str:
    """Draw several lines over one axis: yields by capacity, overlaps, learning curves.

    Parameters
    ----------
    labels : (str, str)
        Of the horizontal and of the vertical axis.
    mark : float, optional
        A place on the horizontal axis to point out, such as the capacity.
    from_zero : bool
        Begin the vertical axis at zero, as a share or a yield should.
    """
    figure, axes = _canvas(5.6, 3.4)
    _many_lines(axes, x, series)
    if mark is not None:
        axes.axvline(mark, ls="--", color=_GREY, lw=1)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    if from_zero:
        axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, frameon=False)
    return _svg(figure)


def forest(entries: Mapping[str, Entry], *, label: str, null: float) -> str:
    """Estimates with their intervals, one under the other; those clear of `null` in color.

    Parameters
    ----------
    entries : mapping of str to mapping
        ``value``, ``low`` and ``high`` by name; the first stands at the top. An estimate without a
        value is drawn as its bounds alone.
    null : float
        What no effect would be.
    """
    figure, axes = _canvas(6.4, 0.7 + 0.22 * len(entries))
    for place, entry in enumerate(reversed(list(entries.values()))):
        low, value, high = entry["low"], entry["value"], entry["high"]
        color = _RED if low > null else _BLUE if high < null else _GREY
        axes.plot([low, high], [place, place], color=color, lw=1.6, solid_capstyle="butt")
        if np.isfinite(value):
            axes.plot([value], [place], marker="o", ms=4, color=color)
    axes.axvline(null, ls=":", color=_GREY, lw=1)
    axes.set_yticks(np.arange(len(entries)), list(entries)[::-1])
    axes.set_xlabel(label)
    axes.set_ylim(-0.7, len(entries) - 0.3)
    return _svg(figure)


def bars(values: Mapping[str, float], *, label: str, limits: Sequence[float] = ()) -> str:
    """Draw bars, the first at the top, with limits to hold them to."""
    figure, axes = _canvas(6.4, 0.7 + 0.22 * len(values))
    top = max(limits, default=np.inf)
    heights = list(values.values())[::-1]
    colors = [_RED if v > top else _BLUE for v in heights]
    axes.barh(np.arange(len(values)), heights, color=colors)
    for limit in limits:
        axes.axvline(limit, ls="--", color=_GREY, lw=1)
    axes.set_yticks(np.arange(len(values)), list(values)[::-1])
    axes.set_xlabel(label)
    return _svg(figure)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes: Axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _many_lines(axes: Axes, x: Sequence[float], series: Series) -> None:
    """Draw lines, the model's in front of the others and thick."""
    number = 0
    for name, values in series.items():
        if name in FRONT:
            axes.plot(x, values, color=_BLUE, lw=2.4, zorder=3, label=FRONT[name])
            continue
        color = _COLORS[number % len(_COLORS)]
        dash = _DASHES[number % len(_DASHES)]
        marker = "o" if len(x) < 20 else None
        label = name.replace("_", " ")
        axes.plot(x, values, color=color, ls=dash, lw=1.1, marker=marker, ms=3, label=label)
        number += 1


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # Several plots share a page: names of groups would repeat, and nothing refers to them.
    text = re.sub(r'<g id="[a-zA-Z]+[0-9_.]*[a-z0-9_]*">', "<g>", text)
    return text.replace("<svg ", '<svg role="img" ', 1)
