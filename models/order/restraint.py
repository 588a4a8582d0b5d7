"""How far heads beside compliance may move a list: as far as they may cost it findings.

A weight that fits one country drowns the compliance head in another, because heads spread as their
records do. So the policy states a price instead: of the severe findings that a list of the first
tenth would find by the compliance head alone, by its own probabilities, so much may be given up.
Where the weights of the policy cost more, those of all other heads, and what is taken off them for
sales and place, are multiplied by the largest share that costs no more. Nobody's truth and no
label is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from models.order.set_against_alike import Peers, taken_off
from models.policy import Policy

# The head whose probabilities the price is paid in.
PRICED: Final = "compliance"
# Entry of a bundle's manifest.
RESTRAINT: Final = "restraint"
CAPACITY: Final = 0.10
_STEPS: Final = 20


@dataclass(frozen=True)
class Restraint:
    """What share of their weights the heads beside compliance have in a bundle, and why.

    Parameters
    ----------
    scale : float
        Multiplies the weights of all heads but compliance, and what is taken off them for sales
        and place.
    cost : float
        Share of the findings expected of a list that this costs.
    cost_in_full : float
        What the weights of the policy would cost.
    maximum : float
        What the policy allows.
    """

    scale: float = 1.0
    cost: float = 0.0
    cost_in_full: float = 0.0
    maximum: float = 1.0

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Restraint:
        """Read a bundle's; a bundle made before there was one has the weights of its policy."""
        return cls(**{name: float(v) for name, v in manifest.get(RESTRAINT, {}).items()})

    def state(self) -> dict[str, float]:
        """Return it as a manifest states it."""
        return asdict(self)

    def weights(self, policy: Policy, heads: Iterable[str]) -> dict[str, float]:
        """Return the weight of each head in the priority."""
        asked = policy.weights_of(heads)
        if not asked.get(PRICED):
            return asked
        return {head: w if head == PRICED else w * self.scale for head, w in asked.items()}

    def in_words(self) -> str:
        """Say it in a sentence; nothing where the policy sets no limit."""
        if self.maximum >= 1.0:
            return ""
        if self.scale >= 1.0:
            return (
                "What ranks beside the chance of a severe finding, such as traces, counts in full: "
                f"it costs a list {self.cost:.1%} of the severe findings expected of it, where the "
                f"policy allows {self.maximum:.1%}."
            )
        return (
            "What ranks beside the chance of a severe finding, such as traces, counts "
            f"{self.scale:.0%} of its weight: in full it would cost a list {self.cost_in_full:.1%} "
            f"of the severe findings expected of it, where the policy allows {self.maximum:.1%}."
        )


def priorities(
    policy: Policy,
    margins: Mapping[str, Floats],
    beside: pd.DataFrame | None,
    restraint: Restraint,
) -> Floats:
    """Return the priority of dealers of one day, as a bundle made on them gives it, shape (n,).

    Parameters
    ----------
    margins, beside
        As in `restrain`.
    """
    weights = restraint.weights(policy, margins)
    total = np.sum([weights[head] * margin for head, margin in margins.items()], axis=0)
    if beside is not None:
        terms = taken_off(policy, weights, beside, Peers.of(beside, margins))
        total = np.sum([total, *terms.values()], axis=0)
    return np.asarray(total, dtype=np.float64)


def restrain(
    policy: Policy,
    margins: Mapping[str, Floats],
    beside: pd.DataFrame | None,
    *,
    capacity: float = CAPACITY,
) -> Restraint:
    """Find the largest share of the other heads' weights that costs no more than is allowed.

    Parameters
    ----------
    margins : mapping of str to array of shape (n,)
        Log-odds or log-rate of each head, of the dealers that a list may be made of.
    beside : DataFrame of shape (n, …), optional
        What the heads are set against, of the same dealers
        (`models.order.set_against_alike.set_against`).
    capacity : float
        Share of the dealers that a list holds.

    Examples
    --------
    >>> policy = Policy.read()
    >>> head = np.linspace(-3.0, 0.0, 100)
    >>> restrain(policy, {"compliance": head, "diversion": head}, None).scale
    1.0
    >>> restrain(policy, {"compliance": head, "diversion": 100 * -head}, None).scale
    0.0
    """
    weights = policy.weights_of(margins)
    maximum = policy.max_yield_cost
    n_listed = round(capacity * len(next(iter(margins.values()))))
    if not weights.get(PRICED) or len(weights) < 2 or not n_listed:
        # Nothing is weighed against compliance, so there is nothing to say of it.
        return Restraint()
    own = priorities(policy, {PRICED: margins[PRICED]}, beside, Restraint())
    others = priorities(policy, margins, beside, Restraint()) - own
    chance = 1.0 / (1.0 + np.exp(-margins[PRICED]))

    def expected(scale: float) -> float:
        listed = np.argsort(-(own + scale * others), kind="stable")[:n_listed]
        return float(chance[listed].mean())

    best = expected(0.0)
    cost = [1.0 - expected(step / _STEPS) / best for step in range(_STEPS + 1)]
    too_much = np.flatnonzero(np.array(cost) > maximum)
    step = int(too_much[0]) - 1 if len(too_much) else _STEPS
    return Restraint(step / _STEPS, cost[step], cost[-1], maximum)
