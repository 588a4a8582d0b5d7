"""What the training rows looked like: quantiles for percentiles and drift, and bins for support.

Percentiles and drift are told by every listed dealer, inspected or not. **Support** says how usual
a dealer is among those whose labels the first head learned from: the inspected ones, where that is
the compliance head; every listed one, where dealers not inspected tell something, too. Each
signal's values are cut at the deciles of all listed dealers, missing being a bin of its own; a
dealer's surprise is the mean, over the signals, of minus the log share of the learned rows in its
bin. Signals that say the same count together as one: each weighs one over the sum of its squared
correlations with all, so that a count in five windows makes nobody five times as unusual. A
dealer's support is the share of learned rows at least as surprising. Dealers like those inspected
have supports spread evenly over 0 to 1; a support of 0.01 says that one inspected dealer in a
hundred was as unlike the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.errors import did_you_mean
from models.columns.encoding import as_numbers, kind_of, plain_numbers
from models.columns.from_numbers import FEW_ROWS
from models.columns.levels import level_names
from models.errors import InputError
from models.order.set_against_alike import Peers
from models.stable_json import State

N_QUANTILES: Final = 101
_N_BINS: Final = 10
# Share of a bin that no training row fell into, in rows.
_PSEUDO_ROWS: Final = 0.5
# So many rows tell how far signals say the same.
_MAX_ROWS: Final = 20_000


@dataclass(frozen=True)
class SignalProfile:
    """One signal among the rows of all listed dealers.

    Parameters
    ----------
    name : str
    share_missing : float
    quantiles : array of shape (101,)
        Empty when never observed, or a category.
    edges : array
        Inner edges of the bins.
    levels : tuple of str
        Levels of a category; each is a bin.
    shares : array
        Share of rows in each bin; the last is missing or never seen.
    learned : array, optional
        The same of the rows whose labels were learned from, where those are not all.
    """

    name: str
    share_missing: float
    quantiles: Floats
    edges: Floats
    levels: tuple[str, ...]
    shares: Floats
    learned: Floats | None = None

    def bins(self, values: pd.Series[Any]) -> npt.NDArray[np.int64]:
        """Return the bin of each row."""
        if not self.levels:
            return self.bins_of_numbers(as_numbers(values))
        last = len(self.shares) - 1
        codes, names = level_names(values)
        place = {level: i for i, level in enumerate(self.levels)}
        lookup = np.array([place.get(name, last) for name in names] + [last], dtype=np.int64)
        return lookup[codes]

    def bins_of_numbers(self, values: Floats) -> npt.NDArray[np.int64]:
        """Return the bin of each number."""
        found = np.searchsorted(self.edges, values, side="left")
        return np.where(np.isnan(values), len(self.shares) - 1, found).astype(np.int64)

    @cached_property
    def surprises(self) -> Floats:
        """Minus the log share of the learned rows in each bin."""
        return np.asarray(-np.log(self.shares if self.learned is None else self.learned))

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return {
            "name": self.name,
            "share_missing": self.share_missing,
            "quantiles": self.quantiles.tolist(),
            "edges": self.edges.tolist(),
            "levels": list(self.levels),
            "shares": self.shares.tolist(),
            "learned": None if self.learned is None else self.learned.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SignalProfile:
        """Rebuild it from `state`."""
        return cls(
            str(state["name"]),
            float(state["share_missing"]),
            np.asarray(state["quantiles"], dtype=np.float64),
            np.asarray(state["edges"], dtype=np.float64),
            tuple(state["levels"]),
            np.asarray(state["shares"], dtype=np.float64),
            None
            if state.get("learned") is None
            else np.asarray(state["learned"], dtype=np.float64),
        )


@dataclass(frozen=True)
class Profile:
    """The training rows, in numbers small enough to travel.

    Parameters
    ----------
    n_rows : int
    signals : tuple of SignalProfile
    surprise : array of shape (101,)
        Quantiles of the surprise of the learned rows.
    scores : mapping of str to array of shape (101,)
        Quantiles of each head's margin on the training rows, for drift.
    peers : Peers, optional
        Mean margins among dealers who sell alike; what counts are ranked against.
    weights : array of shape (p,), optional
        Weight of each signal's surprise; equal in profiles made before there were weights.
    """

    n_rows: int
    signals: tuple[SignalProfile, ...]
    surprise: Floats
    scores: Mapping[str, Floats]
    peers: Peers | None = None
    weights: Floats | None = None

    @classmethod
    def of(
        cls,
        X: pd.DataFrame,
        scores: Mapping[str, Floats] | None = None,
        *,
        peers: Peers | None = None,
        learned: npt.NDArray[np.int64] | None = None,
    ) -> Profile:
        """Profile training rows.

        Parameters
        ----------
        X : DataFrame of shape (n, p)
            Signals of every listed dealer.
        scores : mapping of str to array of shape (n,), optional
            Margin of each head on rows to compare later ones with.
        peers : Peers, optional
            Of dealers who sell alike, where there is the signal of sales.
        learned : array of int, optional
            Rows whose labels were learned from, by which support is told; all by default.
        """
        signals = tuple(_profile(X.iloc[:, j]) for j in range(X.shape[1]))
        bins = _bins(signals, X if learned is None else X.iloc[learned])
        if learned is not None:
            signals = tuple(_learned(signal, bins[:, j]) for j, signal in enumerate(signals))
        weights = _shared(signals, bins)
        found = _surprise(signals, bins, weights)
        surprise = np.quantile(found, np.linspace(0, 1, N_QUANTILES))
        grid = np.linspace(0, 1, N_QUANTILES)
        kept = {head: np.quantile(margin, grid) for head, margin in (scores or {}).items()}
        return cls(len(X), signals, surprise, kept, peers, weights)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the signals."""
        return tuple(signal.name for signal in self.signals)

    @cached_property
    def _laid_out(self) -> tuple[Floats, Floats, npt.NDArray[np.int64], Floats]:
        """Edges of all signals side by side, filled up; surprises; last bins; weights."""
        p, widest = len(self.signals), max(len(s.shares) for s in self.signals)
        edges, surprises = np.full((p, widest), np.inf), np.zeros((p, widest))
        for j, signal in enumerate(self.signals):
            edges[j, : len(signal.edges)] = signal.edges
            surprises[j, : len(signal.shares)] = signal.surprises
        last = np.array([len(s.shares) - 1 for s in self.signals], dtype=np.int64)
        return edges, surprises, last, np.ones(p) if self.weights is None else self.weights

    @cached_property
    def has_levels(self) -> bool:
        """Whether some signal is a category."""
        return any(signal.levels for signal in self.signals)

    def support_of(self, Z: Floats) -> Floats:
        """Return the support of rows of nothing but numbers, shape (n,).

        Of few rows in one go, added up in the order of the signals, so that one row has the same
        bits alone as among many.
        """
        if len(Z) > FEW_ROWS:
            return self._support(_surprise(self.signals, _bins_of(self.signals, Z), self.weights))
        edges, surprises, last, weights = self._laid_out
        bins = np.where(np.isnan(Z), last, (Z[:, :, None] > edges).sum(axis=2))
        terms = weights * surprises[np.arange(len(last)), bins]
        total = np.add.accumulate(terms, axis=1)[:, -1]
        return self._support(np.asarray(total / max(float(weights.sum()), 1e-12)))

    def support(self, X: pd.DataFrame) -> Floats:
        """Return the support of rows, shape (n,), in 0 to 1."""
        Z = None if self.has_levels else plain_numbers(X)
        if Z is not None:
            return self.support_of(Z)
        return self._support(_surprise(self.signals, _bins(self.signals, X), self.weights))

    def _support(self, found: Floats) -> Floats:
        return 1.0 - share_below(self.surprise, found)

    def percentile(self, name: str, values: Floats) -> Floats:
        """Return the share of training rows at or below each value, 0 to 100; NaN if missing."""
        known = {signal.name: signal for signal in self.signals}
        if name not in known:
            raise InputError(
                f"No signal '{name}' in the profile{did_you_mean(name, known, end='.')}"
            )
        quantiles = known[name].quantiles
        if not len(quantiles):
            return np.full(len(values), np.nan)
        below = np.searchsorted(quantiles, values, side="right") / len(quantiles)
        return np.where(np.isnan(values), np.nan, 100.0 * below)

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return {
            "n_rows": self.n_rows,
            "signals": [signal.state() for signal in self.signals],
            "surprise": self.surprise.tolist(),
            "scores": {head: q.tolist() for head, q in self.scores.items()},
            "peers": None if self.peers is None else self.peers.state(),
            "weights": None if self.weights is None else self.weights.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Profile:
        """Rebuild it from `state`."""
        return cls(
            int(state["n_rows"]),
            tuple(SignalProfile.from_state(signal) for signal in state["signals"]),
            np.asarray(state["surprise"], dtype=np.float64),
            {h: np.asarray(q, dtype=np.float64) for h, q in state["scores"].items()},
            None if state.get("peers") is None else Peers.from_state(state["peers"]),
            None
            if state.get("weights") is None
            else np.asarray(state["weights"], dtype=np.float64),
        )


def share_below(quantiles: Floats, values: Floats) -> Floats:
    """Return which share of what has these quantiles lies below each value; a tie is not below.

    Parameters
    ----------
    quantiles : array of shape (q,)
        At equal steps of the share, from the least to the greatest.
    values : array of shape (n,)

    Returns
    -------
    array of shape (n,)
        In 0 to 1, between two quantiles by a straight line.

    Examples
    --------
    >>> share_below(np.array([0.0, 1.0, 1.0, 1.0, 2.0]), np.array([0.5, 1.0, 1.5, 2.0, 3.0]))
    array([0.125, 0.25 , 0.875, 1.   , 1.   ])
    """
    last = len(quantiles) - 1
    above = np.searchsorted(quantiles, values, side="left")
    place = np.minimum(above, last)
    high, low = quantiles[place], quantiles[np.maximum(place - 1, 0)]
    gap = np.where(high > low, high - low, 1.0)
    within = np.where((above > 0) & (above <= last), (high - values) / gap, 0.0)
    return np.asarray((place - within) / last)


def _profile(values: pd.Series[Any]) -> SignalProfile:
    name = str(values.name)
    if kind_of(values) == "category":
        codes, levels = level_names(values)
        counts = np.bincount(np.where(codes < 0, len(levels), codes), minlength=len(levels) + 1)
        missing = float((codes < 0).mean())
        return SignalProfile(
            name, missing, np.empty(0), np.empty(0), tuple(levels), _shares(counts)
        )
    floats = as_numbers(values)
    there = floats[~np.isnan(floats)]
    missing = float(np.isnan(floats).mean())
    if not len(there):
        return SignalProfile(
            name, missing, np.empty(0), np.empty(0), (), _shares(np.array([0, len(floats)]))
        )
    quantiles = np.quantile(there, np.linspace(0, 1, N_QUANTILES), method="inverted_cdf")
    # Beyond the training range lies a bin of its own, on either side.
    inner = quantiles[:: (N_QUANTILES - 1) // _N_BINS]
    edges = np.unique(np.concatenate([[np.nextafter(inner[0], -np.inf)], inner]))
    counts = np.bincount(np.searchsorted(edges, there, side="left"), minlength=len(edges) + 1)
    counts = np.append(counts, len(floats) - len(there))
    return SignalProfile(name, missing, quantiles, edges, (), _shares(counts))


def _learned(signal: SignalProfile, bins: npt.NDArray[np.int64]) -> SignalProfile:
    """Add the shares of the learned rows, by the bin of each."""
    counts = np.bincount(bins, minlength=len(signal.shares))
    return replace(signal, learned=_shares(counts))


def _shares(counts: npt.NDArray[Any]) -> Floats:
    return np.asarray((counts + _PSEUDO_ROWS) / (counts + _PSEUDO_ROWS).sum())


def _bins(signals: Sequence[SignalProfile], X: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Bin of each row in each signal, shape (n, p)."""
    # One row of many signals is asked for often: taking columns out of a table one by one costs
    # more than all the rest.
    Z = None if any(signal.levels for signal in signals) else plain_numbers(X)
    if Z is not None:
        return _bins_of(signals, Z)
    bins = np.empty((len(X), len(signals)), dtype=np.int64)
    for j, signal in enumerate(signals):
        bins[:, j] = signal.bins(X.iloc[:, j])
    return bins


def _bins_of(signals: Sequence[SignalProfile], Z: Floats) -> npt.NDArray[np.int64]:
    """Bin of each number in each signal, shape (n, p)."""
    bins = np.empty(Z.shape, dtype=np.int64)
    for j, signal in enumerate(signals):
        bins[:, j] = signal.bins_of_numbers(Z[:, j])
    return bins


def _surprise(
    signals: Sequence[SignalProfile], bins: npt.NDArray[np.int64], weights: Floats | None
) -> Floats:
    total = np.zeros(len(bins))
    shares = np.ones(len(signals)) if weights is None else weights
    for j, signal in enumerate(signals):
        total += shares[j] * signal.surprises[bins[:, j]]
    return np.asarray(total / max(float(shares.sum()), 1e-12))


def _shared(signals: Sequence[SignalProfile], bins: npt.NDArray[np.int64]) -> Floats:
    """Weight of each signal: one over the number of signals that say the same, shape (p,)."""
    last = np.array([len(signal.shares) - 1 for signal in signals], dtype=np.int64)
    place = np.where(bins == last, -1, bins).astype(np.float64)
    if len(place) > _MAX_ROWS:
        place = place[np.random.default_rng(0).permutation(len(place))[:_MAX_ROWS]]
    place -= place.mean(axis=0)
    spread = np.sqrt((place**2).sum(axis=0))
    place /= np.where(spread > 0, spread, 1.0)
    alike = (place.T @ place) ** 2
    np.fill_diagonal(alike, 1.0)
    return np.asarray(1.0 / alike.sum(axis=0), dtype=np.float64)
