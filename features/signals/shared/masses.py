"""Counts of every listed dealer, in the cohort or not: what neighbors and counties add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.domain.asof import Y2, Y3
from features.engine.context import Cohort, Context, Measure, Sum

if TYPE_CHECKING:
    from features.signals.shared.listings import Listings

Grids = dict[str, npt.NDArray[np.float32]]

_MEASURES: tuple[Measure, ...] = (Sum("traces", (Y2, Y3)),)


def trace_masses(context: Context, stage: Listings) -> Grids:
    """Traces of every listed dealer over two and three years, as of every date.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_dates, n_dealers)
        ``traces_2y`` and ``traces_3y``, for the dealers of `stage` in order.
    """
    return context.once("masses", lambda: whole_grids(context, stage, "traces", _MEASURES))


def whole_grids(
    context: Context, stage: Listings, view: str, measures: tuple[Measure, ...]
) -> dict[str, npt.NDArray[Any]]:
    """Evaluate measures for every listed dealer and every date of the cohort.

    Returns
    -------
    dict of str to ndarray, shape (n_dates, n_dealers)
    """
    n_dealers, n_dates = len(stage.rows.dealers), len(context.cohort.as_of)

    def all_of_all_dates() -> Cohort:
        return Cohort(
            stage.rows.dealers,
            context.cohort.as_of,
            np.tile(np.arange(n_dealers, dtype=np.int32), n_dates),
            np.repeat(np.arange(n_dates, dtype=np.int32), n_dealers),
        )

    everyone = (
        context.once("everyone", all_of_all_dates, is_of_listings=True)
        if n_dates == 1  # of many dates it is large
        else all_of_all_dates()
    )
    grids = Context(everyone, context.engine).grids(view, measures)
    return {name: grid.reshape(n_dates, n_dealers) for name, grid in grids.items()}
