"""Dated covariates: state laws in force, and who could submit traces from Mexico."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.asof import NEVER, to_day
from features.errors import InvalidValueError
from features.reference.files import DATA, read_toml

STATE_LAWS: Final = {
    "dealer_license": "a state license is required to deal in firearms",
    "one_handgun_a_month": "a buyer may purchase one handgun a month",
    "assault_weapons_ban": "sale of assault weapons is banned",
    "straw_purchase_ban": "buying for another person is a state offense",
}


@lru_cache(maxsize=1)
def state_laws() -> pd.DataFrame:
    """State laws: ``law``, ``state``, ``starts_on``, ``ends_on`` (days since 1970), ``statute``.

    Covers laws up to 1 January 2024; later changes are unknown, so the last known law stands.

    References
    ----------
    RAND Corporation, *State Firearm Law Database 5.0*, TL-A243-2-v3, 2025.
    """
    table = pd.read_csv(DATA / "state_laws.csv", dtype=str)
    for name in ("starts_on", "ends_on"):
        days = pd.to_datetime(table[name]).dt.as_unit("s").astype("int64") // 86_400
        table[name] = days.where(table[name].notna(), int(NEVER)).astype("int32")
    return table


def is_state_law_in_force(
    law: str, state: Sequence[str] | pd.Series, on: date
) -> npt.NDArray[np.bool_]:
    """Whether a kind of law was in force in each state on a date.

    Raises
    ------
    InvalidValueError
        For a kind of law that is not in `STATE_LAWS`.

    Examples
    --------
    >>> is_state_law_in_force("one_handgun_a_month", ["VA", "TX"], date(2010, 1, 1)).tolist()
    [True, False]
    """
    if law not in STATE_LAWS:
        raise InvalidValueError(f"No state law is called {law!r}.", expected=", ".join(STATE_LAWS))
    table, day = state_laws(), to_day(on)
    in_force = (table["law"] == law) & (table["starts_on"] <= day) & (day < table["ends_on"])
    return pd.Series(state).isin(table.loc[in_force, "state"]).to_numpy()


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
