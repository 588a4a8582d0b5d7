"""Events for each thousand sales of three years, drawn toward the dealer's peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.arrays import Floats
from features.signals.events.asked import CHECKS
from features.signals.shared.shrinkage import shrink
from features.signals.signal import NO_SOURCE

if TYPE_CHECKING:
    from features.arrays import Floats
    from features.engine.context import Context
    from features.signals.signal import Reasons


def per_1000_sales(context: Context, events: npt.NDArray[np.floating]) -> tuple[Floats, Reasons]:
    """Return the rate of each row's events of three years, and why it is missing.

    Parameters
    ----------
    context : Context
        Without a table of sales every row lacks its source.
    events : ndarray, shape (n_rows,)

    Returns
    -------
    values, reasons : ndarray, shape (n_rows,)
    """
    if not context.has("sales_volume"):
        nothing = np.full(context.n_rows, np.nan)
        return nothing, np.full(context.n_rows, NO_SOURCE, dtype=np.int8)
    sales = context.grids("sales_volume", [CHECKS])["checks_3y"]
    return shrink(
        events, sales, peers=context.peers, date_index=context.cohort.date_index, times=1000.0
    )
