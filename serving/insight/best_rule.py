"""The best simple rule beside a head of the bundle in force: one place says who is ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BestRule:
    """The simple rule that finds most at capacity, and what the model finds more.

    Parameters
    ----------
    name : str
    model, rule : float
        Shares found.
    gain_low, gain_high : float or None
        95% interval of the difference on the same rows; None in an evaluation that lacks it.
    """

    name: str
    model: float
    rule: float
    gain_low: float | None
    gain_high: float | None

    @property
    def is_beaten(self) -> bool:
        """Whether the model is shown to find more: the whole interval lies above no difference."""
        return self.gain_low is not None and self.gain_low > 0


def best_rule(head: Mapping[str, Any]) -> BestRule | None:
    """Return the best rule of a head's evaluation, None where none was measured."""
    own = head.get("model", {}).get("recall", {}).get("value")
    rules = {
        str(name): figures
        for name, figures in head.get("rules", {}).items()
        if figures.get("recall", {}).get("value") is not None
    }
    if own is None or not rules:
        return None
    name = max(rules, key=lambda one: float(rules[one]["recall"]["value"]))
    gain = rules[name].get("recall_gain") or {}
    low, high = gain.get("low"), gain.get("high")
    return BestRule(
        name,
        float(own),
        float(rules[name]["recall"]["value"]),
        None if low is None else float(low),
        None if high is None else float(high),
    )
