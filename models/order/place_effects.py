"""What a head owes to the place of a dealer, so that it can be taken off.

How many firearms are traced, and how many turn up in Mexico, goes by where police trace and how far
the border is. A log-rate of such counts differs between places by more than dealers of one place
differ, so that a list of a country would be a list of places, and of the offices that are there.
The chance of a finding owes something to the place, too: a strict office leaves longer records of
earlier findings, which are among its signals.
What is taken off is a straight line over the rank of each signal of place, fitted beside sales on
the dealers of one date: a sum of functions of one signal each, so an explanation stays exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from models.stable_json import State

Column = pd.Series | Floats

# Shares of the dealers between which a rank is read off.
_SHARES: Final = np.linspace(0.0, 1.0, 11)
# A slope is drawn to zero as by so many dealers without one: few dealers, and signals of place that
# say the same, would else be fitted by chance.
_PRIOR_ROWS: Final = 50.0


@dataclass(frozen=True)
class Places:
    """Slopes of heads over the ranks of signals of place.

    Parameters
    ----------
    signals : tuple of str
    values, ranks : tuple of array
        Of each signal: values and the share of dealers below them, to read a rank off.
    middle : array of shape (p,)
        Mean rank of each signal.
    slopes : mapping of str to array of shape (p,)
        Of each head, in log-rate from the lowest rank to the highest.
    """

    signals: tuple[str, ...]
    values: tuple[Floats, ...]
    ranks: tuple[Floats, ...]
    middle: Floats
    slopes: Mapping[str, Floats]

    @classmethod
    def of(cls, X: pd.DataFrame, beside: Floats, margins: Mapping[str, Floats]) -> Places:
        """Fit it on dealers of one date.

        Parameters
        ----------
        X : DataFrame of shape (n, p)
            Signals of place, and no other.
        beside : array of shape (n, k)
            What the heads differ by besides, such as sales; a constant is in its span.
        margins : mapping of str to array of shape (n,)
            Log-rate of each head.

        Examples
        --------
        >>> km = np.tile([10.0, 200.0, 900.0], 500)
        >>> X = pd.DataFrame({"border_km": km})
        >>> places = Places.of(X, np.ones((1500, 1)), {"mexico": np.log(1 / km)})
        >>> left = np.log(1 / km) - places.terms("mexico", X).sum(axis=1)
        >>> bool(left.std() < np.log(1 / km).std() / 4)
        True
        """
        known = [_rank_line(X[name]) for name in X.columns]
        empty = cls(
            tuple(str(name) for name in X.columns),
            tuple(values for values, _ in known),
            tuple(ranks for _, ranks in known),
            np.zeros(len(known)),
            {},
        )
        ranked = empty._ranks(X)
        middle = np.array([_mean(column) for column in ranked.T])
        ranked = np.where(np.isnan(ranked), 0.0, ranked - middle)
        k, p = beside.shape[1], ranked.shape[1]
        # Variance of a rank is a twelfth.
        prior = np.hstack([np.zeros((p, k)), np.sqrt(_PRIOR_ROWS / 12.0) * np.eye(p)])
        design = np.vstack([np.hstack([beside, ranked]), prior])
        slopes = {
            head: np.asarray(
                np.linalg.lstsq(
                    design, np.r_[np.asarray(margin, dtype=np.float64), np.zeros(p)], rcond=None
                )[0][k:],
                dtype=np.float64,
            )
            for head, margin in margins.items()
        }
        return cls(empty.signals, empty.values, empty.ranks, middle, slopes)

    def terms(self, head: str, X: pd.DataFrame) -> Floats:
        """Return what each signal of place adds to a head, zero on average, shape (n, p)."""
        return self.moved(X) * self.slopes[head]

    def moved(self, X: pd.DataFrame | Mapping[str, Floats]) -> Floats:
        """Return how far the rank of each signal lies from the middle, 0 where missing, (n, p)."""
        moved = self._ranks(X) - self.middle
        return np.where(np.isnan(moved), 0.0, moved)

    def _ranks(self, X: pd.DataFrame | Mapping[str, Floats]) -> Floats:
        """Rank of each value among the dealers fitted on, missing where it is, (n, p)."""
        values = [numbers_of(X[name]) for name in self.signals]
        out = np.full((len(values[0]) if values else len(X), len(self.signals)), np.nan)
        for j, given in enumerate(values):
            if len(self.values[j]):
                out[:, j] = np.interp(given, self.values[j], self.ranks[j])
            out[np.isnan(given), j] = np.nan
        return out

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return {
            "signals": list(self.signals),
            "values": [values.tolist() for values in self.values],
            "ranks": [ranks.tolist() for ranks in self.ranks],
            "middle": self.middle.tolist(),
            "slopes": {head: slopes.tolist() for head, slopes in self.slopes.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Places:
        """Rebuild it from `state`."""

        def arrays(rows: list[list[float]]) -> tuple[Floats, ...]:
            return tuple(np.asarray(row, dtype=np.float64) for row in rows)

        return cls(
            tuple(str(name) for name in state["signals"]),
            arrays(state["values"]),
            arrays(state["ranks"]),
            np.asarray(state["middle"], dtype=np.float64),
            {h: np.asarray(v, dtype=np.float64) for h, v in state["slopes"].items()},
        )


def numbers_of(values: Column) -> Floats:
    """Return a column as float64, missing as NaN."""
    if isinstance(values, pd.Series):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(values, dtype=np.float64)


def _mean(ranks: Floats) -> float:
    known = ranks[~np.isnan(ranks)]
    return float(known.mean()) if len(known) else 0.0


def _rank_line(values: pd.Series) -> tuple[Floats, Floats]:
    """Values at some shares of the dealers, each once, and the middle of its shares."""
    known = numbers_of(values)
    known = known[np.isfinite(known)]
    if not len(known):
        return np.zeros(0), np.zeros(0)
    at, place = np.unique(np.quantile(known, _SHARES), return_inverse=True)
    ranks = np.bincount(place, weights=_SHARES) / np.bincount(place)
    return at, np.asarray(ranks, dtype=np.float64)
