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

from typing import Final

import numpy as np
import numpy.typing as npt

from features.signals.signal import NO_EXPOSURE, OBSERVED, Floats, Reasons

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
    _, group = np.unique(np.stack([date_index, peers]), axis=1, return_inverse=True)
    group = group.reshape(-1)
    mean, worth, size = _moments(x, n, group)
    whole_mean, whole_worth, _ = _moments(x, n, date_index)
    is_few = (size[group] < MIN_PEERS) | (peers < 0)
    return (
        np.where(is_few, whole_mean[date_index], mean[group]),
        np.where(is_few, whole_worth[date_index], worth[group]),
    )


def _moments(x: Floats, n: Floats, group: npt.NDArray[np.integer]) -> tuple[Floats, ...]:
    """Mean rate, worth of the prior and number of exposed rows of each group."""
    count = int(group.max(initial=0)) + 1
    exposed = n > 0
    total = np.bincount(group, weights=n, minlength=count)
    events = np.bincount(group, weights=np.where(exposed, x, 0.0), minlength=count)
    size = np.bincount(group, weights=exposed, minlength=count).astype(np.float64)
    mean = np.divide(events, total, out=np.zeros(count), where=total > 0)
    ratio = np.divide(x, n, out=np.zeros(len(n)), where=exposed)
    spread = np.bincount(group, weights=n * (ratio - mean[group]) ** 2, minlength=count)
    # Spread of the true rates: what is left after the spread that counting alone gives.
    between = np.divide(spread - size * mean, total, out=np.zeros(count), where=total > 0)
    worth = np.divide(mean, between, out=np.full(count, _MOST), where=between > mean / _MOST)
    return mean, np.where(mean > 0, worth, _MOST), size
