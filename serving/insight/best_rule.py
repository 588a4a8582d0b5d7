"""The best simple rule beside the published order or a head: one place says who is ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# How the order by one head alone is named among the rules.
ALONE: Final = "_alone"


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

    @property
    def is_as_good(self) -> bool:
        """Whether the rule finds as much as the model, or more."""
        return self.rule >= self.model


def judged_order(evaluation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what was judged of the published order; None where it was not, as in old bundles."""
    order = evaluation.get("order")
    is_judged = isinstance(order, Mapping) and order.get("model", {}).get("recall") is not None
    return order if is_judged else None


def beside_rules(judged: Mapping[str, Any]) -> dict[str, BestRule]:
    """Return what each simple rule finds beside an order, by name.

    The order of one of its heads alone is a part of it, and no simple rule.
    """
    own = judged.get("model", {}).get("recall", {}).get("value")
    found = {}
    for name, figures in judged.get("rules", {}).items():
        value = figures.get("recall", {}).get("value")
        if own is None or value is None or name.endswith(ALONE):
            continue
        gain = figures.get("recall_gain") or {}
        low, high = gain.get("low"), gain.get("high")
        found[str(name)] = BestRule(
            str(name),
            float(own),
            float(value),
            None if low is None else float(low),
            None if high is None else float(high),
        )
    return found


def best_rule(judged: Mapping[str, Any]) -> BestRule | None:
    """Return the best simple rule beside an order or a head, None where none was measured."""
    return max(beside_rules(judged).values(), key=lambda one: one.rule, default=None)
