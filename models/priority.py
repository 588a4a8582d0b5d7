"""What a priority is besides the weighted heads: counts of firearms set against firearms sold.

A head that counts traced firearms lifts whoever sells most. The policy says how far it is ranked
per firearm sold: by count, by rate, or between. The part that is taken off is a function of one
signal, so an explanation of the priority stays an exact sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.policy import Policy

Floats = npt.NDArray[np.float64]

# Sales of a year stand for exposure. So many are added: a dealer that sells next to nothing has no
# rate to speak of.
EXPOSURE: Final = "volume_sales_1y"
FLOOR: Final = 100.0


def exposure_weight(policy: Policy, heads: Iterable[str], columns: Iterable[str]) -> float:
    """Return how much of the log of sales is taken off the priority; zero without that signal."""
    if EXPOSURE not in set(columns):
        return 0.0
    return sum(policy.weights[head] * policy.per_sale.get(head, 0.0) for head in heads)


def exposure_term(sales: pd.Series, weight: float) -> Floats:
    """Return what is added to the priority of each row, shape (n,); a dealer without sales gets 0.

    Examples
    --------
    >>> exposure_term(pd.Series([0.0, 900.0]), 0.5).round(2).tolist()
    [-0.0, -1.15]
    """
    sold = np.maximum(sales.fillna(0.0).to_numpy(dtype=np.float64), 0.0)
    return np.asarray(-weight * np.log1p(sold / FLOOR), dtype=np.float64)
