"""How far the world has moved from what a bundle learned, and what is to be done about it.

New signals and scores are compared with the profile that travels in the bundle: population
stability index over the training deciles, missing values a bin of their own.

References
----------
Siddiqi (2006): below 0.1 stable, 0.1 to 0.25 watch, above 0.25 act.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from models import Bundle
from models.profile import SignalProfile

Floats = npt.NDArray[np.float64]
WATCH: Final = 0.1
ACT: Final = 0.25
Advice = Literal["none", "watch", "check the source", "train again"]


@dataclass(frozen=True)
class Drift:
    """How far one signal or head has moved.

    Parameters
    ----------
    name : str
    kind : {"signal", "head"}
    stability_index : float
        Population stability index; zero is no change.
    share_missing_then, share_missing_now : float
    advice : str
        What to do.
    """

    name: str
    kind: Literal["signal", "head"]
    stability_index: float
    share_missing_then: float
    share_missing_now: float
    advice: Advice


def stability_index(then: Floats, now: Floats) -> float:
    """Return the population stability index of two distributions over the same bins.

    >>> stability_index(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    0.0
    """
    a, b = np.maximum(then, 1e-4), np.maximum(now, 1e-4)
    a, b = a / a.sum(), b / b.sum()
    return float(((b - a) * np.log(b / a)).sum())


def drift(bundle: Bundle, X: pd.DataFrame) -> list[Drift]:
    """Compare new rows with the rows a bundle was trained on, worst first."""
    inputs = bundle.inputs(X)
    found = [_of_signal(signal, inputs[signal.name]) for signal in bundle.profile.signals]
    for name, quantiles in bundle.profile.scores.items():
        head = bundle.heads[name]
        margin = np.asarray(head.predict_margin(inputs[list(head.columns_)]), dtype=np.float64)
        found.append(_of_head(name, quantiles, margin))
    return sorted(found, key=lambda d: -d.stability_index)


def _of_signal(signal: SignalProfile, values: pd.Series) -> Drift:
    bins = np.bincount(signal.bins(values), minlength=len(signal.shares))
    index = stability_index(signal.shares, bins / max(len(values), 1))
    missing = float(values.isna().mean())
    advice: Advice = _advice(index)
    if abs(missing - signal.share_missing) > 0.2:
        advice = "check the source"
    return Drift(signal.name, "signal", index, signal.share_missing, missing, advice)


def _of_head(name: str, quantiles: Floats, margin: Floats) -> Drift:
    edges = np.unique(quantiles[10:-1:10])
    now = np.bincount(np.searchsorted(edges, margin, side="right"), minlength=len(edges) + 1)
    grid = np.linspace(0.0, 1.0, len(quantiles))
    below = np.interp(edges, quantiles, grid)
    then = np.diff(np.concatenate([[0.0], below, [1.0]]))
    index = stability_index(then, now / max(len(margin), 1))
    return Drift(name, "head", index, 0.0, 0.0, _advice(index))


def _advice(index: float) -> Advice:
    return "train again" if index > ACT else "watch" if index > WATCH else "none"


def summary(found: list[Drift]) -> dict[str, Any]:
    """Return what moved and the one thing to do."""
    order: tuple[Advice, ...] = ("check the source", "train again", "watch", "none")
    heads = [d for d in found if d.kind == "head"]
    sources = [d for d in found if d.advice == "check the source"]
    overall: Advice = (
        "check the source" if sources else min((d.advice for d in heads), key=order.index)
    )
    return {"advice": overall, "drift": [asdict(d) for d in found]}
