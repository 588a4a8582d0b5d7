"""What a priority is besides the weighted heads: counts of firearms set against firearms sold.

A head that counts traced firearms lifts whoever sells most, and sinks without limit whoever sells
next to nothing: the logarithm of next to no expected traces has no floor. So the policy says how
far such a head is ranked against **dealers who sell alike**: 0 by count, 1 only by what lies above
or below their mean. A dealer of few sales then stands at the mean of the small, not at the foot of
the large. And it says how far any head is ranked against **dealers in places alike**
(`models.order.place_effects`): where police trace, how far the border is, and how much the office
there has found before, is no dealer's doing. What is taken off is a sum of functions of one signal
each, so an explanation of the priority stays an exact sum.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from features.arrays import Floats
from models.errors import BundleError
from models.order.place_effects import Column, Places, numbers_of
from models.policy import Policy
from models.stable_json import State

# Sales of a year stand for exposure.
EXPOSURE: Final = "volume_sales_1y"
# Shares of the dealers below each bend of the mean over the logarithm of sales.
_BENDS: Final = (0.0, 0.35, 0.65, 0.85, 0.95, 1.0)
# Dealers whose sales nobody knows have a mean of their own from so many on.
_MIN_UNKNOWN: Final = 20


@dataclass(frozen=True)
class Peers:
    """Mean margin of heads among dealers who sell alike, in places alike.

    A broken line over ``log(1 + sales)``, straight on beyond its ends, by least squares, of what
    the place leaves.

    Parameters
    ----------
    bends : array of shape (k,)
        Where the lines may bend, in ``log(1 + sales)``.
    means : mapping of str to array of shape (k,)
        Mean margin of each head at the bends.
    unknown : mapping of str to float
        Mean margin of dealers whose sales are not known.
    middle : mapping of str to float
        Mean over all dealers of what is taken off, so that nothing is taken off
        on average.
    places : Places, optional
        What the heads owe to the place; None where no signal stands for it.
    """

    bends: Floats
    means: Mapping[str, Floats]
    unknown: Mapping[str, float]
    middle: Mapping[str, float]
    places: Places | None = None

    @classmethod
    def of(cls, beside: pd.DataFrame, margins: Mapping[str, Floats]) -> Peers:
        """Fit it on dealers of one date.

        Parameters
        ----------
        beside : DataFrame of shape (n, …)
            `EXPOSURE`, firearms sold in a year, missing where not known; every other column is a
            signal of place. Either may be absent (`set_against`).
        margins : mapping of str to array of shape (n,)
            Log-rate of each head.

        Examples
        --------
        >>> sales = pd.Series([0.0, 1.0, 10.0, 100.0, 1000.0])
        >>> beside = sales.to_frame(EXPOSURE)
        >>> peers = Peers.of(beside, {"diversion": np.log1p(sales.to_numpy()) - 5.0})
        >>> peers.of_head("diversion", pd.Series([99.0])).round(2).tolist()
        [1.68]
        """
        sales = beside.get(EXPOSURE, pd.Series(np.nan, index=beside.index))
        sold = _logged(sales)
        is_known = np.isfinite(sold)
        known = sold[is_known]
        bends = np.unique(np.quantile(known, _BENDS)) if len(known) else np.zeros(1)
        design = _hats(bends, known)
        places, margins = _without_place(beside, bends, sold, margins)
        means: dict[str, Floats] = {}
        unknown: dict[str, float] = {}
        for head, margin in margins.items():
            values = np.asarray(margin, dtype=np.float64)
            solved = np.linalg.lstsq(design, values[is_known], rcond=None)[0]
            means[head] = np.asarray(solved if len(known) else np.zeros(1), dtype=np.float64)
            # Too few to have a mean of their own stand with those who sell nothing.
            unknown[head] = (
                float(values[~is_known].mean())
                if (~is_known).sum() >= _MIN_UNKNOWN
                else float(means[head][0])
            )
        fitted = cls(bends, means, unknown, dict.fromkeys(margins, 0.0), places)
        middle = {head: float(fitted.of_head(head, sales).mean()) for head in margins}
        return replace(fitted, middle=middle)

    def of_head(self, head: str, sales: Column) -> Floats:
        """Return the mean margin of those who sell as each row does, less that of all, (n,)."""
        sold = _logged(sales)
        is_known = np.isfinite(sold)
        out = np.full(len(sold), self.unknown[head])
        # Not by BLAS: one row has the same bits alone as among many.
        out[is_known] = (_hats(self.bends, sold[is_known]) * self.means[head]).sum(axis=1)
        return np.asarray(out - self.middle[head], dtype=np.float64)

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return {
            "bends": self.bends.tolist(),
            "means": {head: values.tolist() for head, values in self.means.items()},
            "unknown": dict(self.unknown),
            "middle": dict(self.middle),
            "places": None if self.places is None else self.places.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Peers:
        """Rebuild it from `state`."""
        return cls(
            np.asarray(state["bends"], dtype=np.float64),
            {head: np.asarray(v, dtype=np.float64) for head, v in state["means"].items()},
            {head: float(v) for head, v in state["unknown"].items()},
            {head: float(v) for head, v in state["middle"].items()},
            Places.from_state(state["places"]) if state.get("places") else None,
        )


def set_against(X: pd.DataFrame, place_signals: Iterable[str]) -> pd.DataFrame:
    """Return what heads are set against, out of a table of signals: sales, and where a dealer is.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    place_signals : iterable of str
        Signals that stand for the place; those that the table lacks, and words, are passed over.
    """
    wanted = dict.fromkeys([EXPOSURE, *place_signals])
    return X[[c for c in wanted if c in X.columns and is_numeric_dtype(X[c])]]


def _without_place(
    beside: pd.DataFrame, bends: Floats, sold: Floats, margins: Mapping[str, Floats]
) -> tuple[Places | None, Mapping[str, Floats]]:
    """Fit what margins owe to the place, beside sales, and take it off."""
    where = beside.drop(columns=EXPOSURE, errors="ignore")
    if where.empty:
        return None, margins
    is_known = np.isfinite(sold)
    by_sales = np.zeros((len(sold), len(bends) + 1))
    by_sales[is_known, :-1] = _hats(bends, sold[is_known])
    by_sales[~is_known, -1] = 1.0
    places = Places.of(where, by_sales, margins)
    left = {head: m - places.terms(head, where).sum(axis=1) for head, m in margins.items()}
    return places, left


def exposure_weights(
    policy: Policy, weights: Mapping[str, float], columns: Container[str]
) -> dict[str, float]:
    """Return how far each head of these weights is set against sales; none without their signal."""
    if EXPOSURE not in columns:
        return {}
    against = {head: w * policy.per_sale.get(head, 0.0) for head, w in weights.items()}
    return {head: weight for head, weight in against.items() if weight}


def require_peers(
    policy: Policy, weights: Mapping[str, float], columns: Container[str], peers: Peers | None
) -> None:
    """Refuse a bundle whose policy asks for what its profile does not hold.

    Raises
    ------
    BundleError
    """
    for head in exposure_weights(policy, weights, columns):
        if peers is None or head not in peers.means:
            raise BundleError(
                f"The policy sets head '{head}' against dealers who sell alike, and the profile "
                "does not say what they are like.",
                expected="a profile with the means of that head by sales",
                fix="train again with this version",
            )


def exposure_term(sales: Column, weights: Mapping[str, float], peers: Peers) -> Floats:
    """Return what is added to the priority of each row, shape (n,).

    Parameters
    ----------
    sales : Series or array of shape (n,)
        `EXPOSURE` of each row.
    weights : mapping of str to float
        As `exposure_weights` gives them.
    peers : Peers

    Examples
    --------
    >>> sales = pd.Series([0.0, 10.0, 1000.0])
    >>> peers = Peers.of(sales.to_frame(EXPOSURE), {"diversion": np.array([-6.0, -3.0, 3.0])})
    >>> exposure_term(sales, {"diversion": 0.5}, peers).round(2).tolist()
    [2.0, 0.5, -2.5]
    """
    total = np.zeros(len(sales))
    for head, weight in weights.items():
        total -= weight * peers.of_head(head, sales)
    return total


def taken_off(
    policy: Policy,
    weights: Mapping[str, float],
    inputs: pd.DataFrame | Mapping[str, Floats],
    peers: Peers | None,
) -> dict[str, Floats]:
    """Return what is added to the priority of each row by each signal heads are set against.

    Parameters
    ----------
    weights : mapping of str to float
        Weight of each head in the priority.
    inputs : DataFrame of shape (n, p), or mapping of str to array of shape (n,)
        Signals of the rows.

    Returns
    -------
    dict of str to array of shape (n,)
        By the name of the signal; empty where nothing is set against anything.
    """
    if peers is None:
        return {}
    out: dict[str, Floats] = {}
    against = exposure_weights(policy, weights, inputs)
    if against:
        out[EXPOSURE] = exposure_term(inputs[EXPOSURE], against, peers)
    if peers.places is None:
        return out
    shares = {head: weight * policy.per_place.get(head, 0.0) for head, weight in weights.items()}
    shares = {head: s for head, s in shares.items() if s and head in peers.places.slopes}
    moved = peers.places.moved(inputs) if shares else np.zeros((0, 0))
    for head, share in shares.items():
        terms = moved * peers.places.slopes[head]
        for name, term in zip(peers.places.signals, terms.T, strict=True):
            out[name] = out.get(name, np.zeros(len(term))) - share * term
    return out


def _logged(sales: Column) -> Floats:
    return np.asarray(np.log1p(np.maximum(numbers_of(sales), 0.0)), dtype=np.float64)


def _hats(bends: Floats, at: Floats) -> Floats:
    """Share of each bend in a broken line at each point; straight on beyond the ends, (n, k)."""
    if len(bends) == 1:
        return np.ones((len(at), 1))
    left = np.clip(np.searchsorted(bends, at, side="right") - 1, 0, len(bends) - 2)
    share = (at - bends[left]) / (bends[left + 1] - bends[left])
    out = np.zeros((len(at), len(bends)))
    rows = np.arange(len(at))
    out[rows, left] = 1.0 - share
    out[rows, left + 1] = share
    return out
