"""Empirical Bayes: rates and shares of few events, drawn toward the dealer's peers.

A rate ``x / n`` is served as ``(x + k m) / (n + k)``, with ``m`` the rate of the peers and ``k``
the exposure that the spread between peers is worth. Both are fitted by moments on the rows of
the same as-of date, which hold nothing known later. Peers are dealers of the same license type
and state; where fewer than `MIN_PEERS` of them have exposure, all dealers.

References
----------
Clayton and Kaldor (1987), Empirical Bayes estimates of age-standardized relative risks.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from features.arrays import Floats
from features.signals.shared.groups import by_date
from features.signals.signal import NO_EXPOSURE, OBSERVED, Reasons

MIN_PEERS: Final = 20
# What an unlimited prior exposure is cut to, so that identical peers do not divide by zero.
_MOST = 1e9


def shrink(
    events: npt.NDArray[np.floating],
    exposure: npt.NDArray[np.floating],
    *,
    peers: npt.NDArray[np.int64],
    date_index: npt.NDArray[np.int32],
    times: float = 1.0,
) -> tuple[Floats, Reasons]:
    """Return shrunken rates, null without exposure.

    Parameters
    ----------
    events, exposure : ndarray, shape (n_rows,)
        Numerator and denominator of each row.
    peers : ndarray of int, shape (n_rows,)
        Code of the peer group; negative codes have no peers and use all dealers.
    date_index : ndarray of int, shape (n_rows,)
        Which as-of date a row belongs to; dates never share a prior.
    times : float
        Factor of the result, 1,000 for "per 1,000".

    Returns
    -------
    values, reasons : ndarray, shape (n_rows,)
    """
    x = np.asarray(events, dtype=np.float64)
    n = np.asarray(exposure, dtype=np.float64)
    mean, worth = prior(x, n, peers=peers, date_index=date_index)
    is_known = n > 0
    values = np.where(is_known, (x + worth * mean) / (n + worth), np.nan) * times
    return values, np.where(is_known, OBSERVED, NO_EXPOSURE).astype(np.int8)


def prior(
    x: Floats,
    n: Floats,
    *,
    peers: npt.NDArray[np.int64],
    date_index: npt.NDArray[np.int32],
) -> tuple[Floats, Floats]:
    """Fit each row's prior: the peers' rate and the exposure it is worth, shape (n_rows,)."""
    group, codes = by_date(peers, date_index)
    n_dates = int(date_index.max(initial=-1)) + 1
    mean, worth, size = _moments(x, n, group, n_dates * len(codes))
    whole_mean, whole_worth, _ = _moments(x, n, date_index, n_dates)
    date_of = np.repeat(np.arange(n_dates), len(codes))
    is_few = (size < MIN_PEERS) | (np.tile(codes, n_dates) < 0)
    mean = np.where(is_few, whole_mean[date_of], mean)
    worth = np.where(is_few, whole_worth[date_of], worth)
    return mean[group], worth[group]


def _moments(
    x: Floats, n: Floats, group: npt.NDArray[np.integer], count: int
) -> tuple[Floats, Floats, Floats]:
    """Mean rate, worth of the prior and number of exposed rows of each group."""
    total, events, size = _totals(x, n, group, count)
    mean = np.divide(events, total, out=np.zeros(count), where=total > 0)
    spread = _spreads(x, n, group, mean)
    # Spread of the true rates: what is left after the spread that counting alone gives.
    between = np.divide(spread - size * mean, total, out=np.zeros(count), where=total > 0)
    worth = np.divide(mean, between, out=np.full(count, _MOST), where=between > mean / _MOST)
    return mean, np.where(mean > 0, worth, _MOST), size


@numba.njit(cache=True, nogil=True)
def _totals(x: Any, n: Any, group: Any, count: int) -> Any:
    """Exposure, events and exposed rows of each group."""
    total, events, size = np.zeros(count), np.zeros(count), np.zeros(count)
    for i in range(len(n)):
        total[group[i]] += n[i]
        if n[i] > 0:
            events[group[i]] += x[i]
            size[group[i]] += 1.0
    return total, events, size


@numba.njit(cache=True, nogil=True)
def _spreads(x: Any, n: Any, group: Any, mean: Any) -> Any:
    """Spread of the rates around the mean of their group, weighted by exposure."""
    spread = np.zeros(len(mean))
    for i in range(len(n)):
        if n[i] > 0:
            off = x[i] / n[i] - mean[group[i]]
            spread[group[i]] += n[i] * (off * off)
    return spread
