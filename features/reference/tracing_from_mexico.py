"""Dated covariates: who could submit traces from Mexico."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt

from features.domain.asof import to_day
from features.reference.files import read_toml


def mexico_coverage(days: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Share of Mexican recoveries that could reach the tracing system on each day.

    Parameters
    ----------
    days : array_like of int, shape (n,)
        Days since 1970, the day of the request.

    Returns
    -------
    ndarray of float64, shape (n,)
        Between 0 and 1, relative to all states submitting; see ``mexico_coverage.toml`` for what
        is documented and what is a convention.
    """
    periods = mexico_periods()
    starts = np.array([to_day(starts_on) for starts_on, _ in periods])
    index = np.array([share for _, share in periods])
    step = np.searchsorted(starts, np.asarray(days), side="right") - 1
    return np.asarray(index[np.clip(step, 0, None)])


def mexico_periods() -> list[tuple[date, float]]:
    """Return first day and coverage of each period of Mexican trace submission, oldest first."""
    periods = read_toml("mexico_coverage.toml")["period"]
    return [(period["starts_on"], float(period["index"])) for period in periods]
