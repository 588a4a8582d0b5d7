"""What targeting gains in all, and with who was sent held fixed.

Much of what targeting seems to gain can be the inspector: in the best-known study most of it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.evaluation.head_evaluation import lists_of, ranking
from training.evaluation.within import telling_rows


def three_gains(
    rows: pd.DataFrame, *, share: float, within: Sequence[tuple[str, str]]
) -> dict[str, float | None]:
    """Precision at capacity over the base rate: in all, and with each inspector's share fixed.

    Much of what targeting seems to gain can be who was sent. With assignment held fixed each
    group inspects the same number of its own dealers as in a random list. Visits of nobody on
    record are in the total alone; a gain is None where no group found something in some visits and
    nothing in others, for then every order gains the same.

    Parameters
    ----------
    rows : DataFrame
        Inspected rows: ``y``, ``weight``, ``score`` and the group columns.
    within : sequence of (name, column)
        The gains to state beside the total.
    """
    weight = rows["weight"].to_numpy(dtype=np.float64)
    y = rows["y"].to_numpy(dtype=np.float64)
    rate = float(np.average(y, weights=weight))
    if rate <= 0:
        return {"total": None, **{name: None for name, _ in within}}
    out: dict[str, float | None] = {"total": _precision(rows, share) / rate}
    for name, column in within:
        found, by_chance = 0.0, 0.0
        telling = telling_rows(rows, column)
        who = [telling[column].astype(str), lists_of(telling)]
        for _, part in telling.groupby(who, observed=True):
            w, y = (part[c].to_numpy(dtype=np.float64) for c in ("weight", "y"))
            found += _precision(part, share) * float(w.sum())
            by_chance += float(w @ y)
        out[name] = found / by_chance if by_chance else None
    return out


def _precision(rows: pd.DataFrame, share: float) -> float:
    weight: npt.NDArray[Any] = rows["weight"].to_numpy(dtype=np.float64)
    y = rows["y"].to_numpy(dtype=np.float64)
    found = ranking(rows, "score").captured(y, share=share, weight=weight)
    return found / (share * float(weight.sum()))
