"""How good a ranking and a probability are, with ties handled and intervals by cluster.

Every statistic takes row weights, so that one pass serves plain evaluation, inverse-propensity
weights and the bootstrap (a resample is a weight per row). Scores are sorted once, in `Ranking`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, gamma

from features.arrays import Floats
from training.errors import OneClassError

LEVEL = 0.95


class IntervalRecord(TypedDict):
    """A figure with its interval, as a report has it."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it.

    Parameters
    ----------
    value : float
        The estimate on the data as they are.
    low, high : float
        Percentile bounds over resampled clusters.
    level : float
        Nominal coverage.
    """

    value: float
    low: float
    high: float
    level: float = LEVEL

    def excludes(self, null: float) -> bool:
        """Whether `null` lies outside the bounds."""
        return null < self.low or null > self.high

    def __str__(self) -> str:
        if np.isnan(self.value):
            return f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def as_dict(self) -> IntervalRecord:
        """Return the four numbers, for a report."""
        return {"value": self.value, "low": self.low, "high": self.high, "level": self.level}


class Ranking:
    """Rows ordered by score, highest first; rows with equal scores form one group.

    A list is made of the dealers of one day. Rows of several lists are ordered list by list: pairs
    are of one list, and each list has its own capacity, so that the level of a year is no order.

    Parameters
    ----------
    score : array of shape (n,)
        Higher is inspected sooner.
    within : array of shape (n,), optional
        The list of each row; one list unless given.

    Examples
    --------
    >>> ranking = Ranking(np.array([0.9, 0.5, 0.5, 0.1]))
    >>> bool(ranking.captured(np.array([1.0, 1.0, 0.0, 0.0]), share=0.5) == 1.5)
    True
    """

    def __init__(self, score: npt.ArrayLike, within: npt.ArrayLike | None = None) -> None:
        values = np.asarray(score, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("scores must be finite to be ranked")
        owner = np.zeros(len(values), dtype=np.int64)
        if within is not None:
            owner = np.unique(np.asarray(within), return_inverse=True)[1].astype(np.int64)
        self.order = np.lexsort((-values, owner))
        ordered, owner = values[self.order], owner[self.order]
        is_first = np.ones(len(ordered), dtype=bool)
        is_first[1:] = owner[1:] != owner[:-1]
        is_start = is_first.copy()
        is_start[1:] |= ordered[1:] != ordered[:-1]
        self.starts = np.flatnonzero(is_start)
        # Where each list lies in the order, and where its groups lie among all.
        self.lists = _parts(np.flatnonzero(is_first), len(ordered))
        self.groups = _parts(np.flatnonzero(is_first[self.starts]), len(self.starts))

    def _weights(self, weight: Floats | None) -> Floats:
        w = np.ones(len(self.order)) if weight is None else np.asarray(weight, dtype=np.float64)
        return w[self.order]

    def _grouped(self, value: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
        """Weighted value and weight of each group of equal scores, in rank order."""
        w = self._weights(weight)
        v = np.asarray(value, dtype=np.float64)[self.order] * w
        return np.add.reduceat(v, self.starts), np.add.reduceat(w, self.starts)

    def places(self, weight: Floats | None) -> tuple[Floats, Floats]:
        """Weight of each group, and what its list has reached with it."""
        size = np.add.reduceat(self._weights(weight), self.starts)
        return size, np.concatenate([np.cumsum(size[one]) for one in self.groups])

    def captured(self, value: Floats, *, share: float, weight: Floats | None = None) -> float:
        """Value expected in the first `share` of each list's weight; ties share the last places."""
        w, v = self._weights(weight), np.asarray(value, dtype=np.float64)
        return sum(
            self._captured(v, w[one], share, groups, one.start)
            for one, groups in zip(self.lists, self.groups, strict=True)
        )

    def _captured(self, value: Floats, w: Floats, share: float, groups: slice, at: int) -> float:
        """Value in the first `share` of one list, whose first place is `at`."""
        starts = self.starts[groups] - at
        reached = np.cumsum(w)
        capacity = share * reached[-1]
        # The group of equal scores in which the capacity ends; nothing behind it counts.
        last = min(int(np.searchsorted(reached, capacity)), len(w) - 1)
        group = int(np.searchsorted(starts, last, side="right")) - 1
        begin = int(starts[group])
        end = int(starts[group + 1]) if group + 1 < len(starts) else len(w)
        v = value[self.order[at : at + end]] * w[:end]
        within = float(w[begin:end].sum())
        places = capacity - (float(reached[begin - 1]) if begin else 0.0)
        part = min(places / within, 1.0) if within > 0 else 0.0
        return float(v[:begin].sum() + part * v[begin:].sum())

    def captured_range(
        self, value: Floats, *, share: float, weight: Floats | None = None
    ) -> tuple[float, float]:
        """Worst and best captured value over every order of the rows that tie."""
        v, w = np.asarray(value, dtype=np.float64)[self.order], self._weights(weight)
        group = np.searchsorted(self.starts, np.arange(len(v)), side="right")
        worst, best = 0.0, 0.0
        for one in self.lists:
            value_, weight_, tied = v[one], w[one], group[one]
            low, high = (
                _first(value_[order], weight_[order], share)
                for order in (np.lexsort((value_, tied)), np.lexsort((-value_, tied)))
            )
            worst, best = worst + low, best + high
        return worst, best

    def auc(self, y: Floats, *, weight: Floats | None = None) -> float:
        """Probability that a positive ranks above a negative of its list, ties counting half."""
        positives, weights = self._grouped(y, weight)
        negatives = weights - positives
        above, pairs = 0.0, 0.0
        for one in self.groups:
            p, n = positives[one], negatives[one]
            below = n.sum() - np.cumsum(n)
            above += float(p @ (below + 0.5 * n))
            pairs += float(p.sum() * n.sum())
        return above / pairs if pairs > 0 else float("nan")

    def ndcg(self, gain: Floats, *, share: float) -> float:
        """Discounted gain in the first `share` over the best possible; ties averaged."""
        values, sizes = self._grouped(gain, None)
        mean_gain = np.repeat(values / sizes, sizes.astype(np.int64))
        own = np.asarray(gain, dtype=np.float64)[self.order]
        found, ideal = 0.0, 0.0
        for one in self.lists:
            n = one.stop - one.start
            discount = 1.0 / np.log2(np.arange(2, n + 2))
            discount[max(1, round(share * n)) :] = 0.0
            found += float(mean_gain[one] @ discount)
            ideal += float(np.sort(own[one])[::-1] @ discount)
        return found / ideal if ideal > 0 else float("nan")

    def gain_curve(self, value: Floats, shares: Floats, *, weight: Floats | None = None) -> Floats:
        """Share of the total value captured at each capacity share."""
        total = float(np.sum(value if weight is None else np.asarray(value) * weight))
        return np.array([self.captured(value, share=s, weight=weight) for s in shares]) / total


def _parts(starts: npt.NDArray[np.int64], n: int) -> list[slice]:
    return [slice(int(a), int(b)) for a, b in pairwise([*starts, n])]


def _first(value: Floats, weight: Floats, share: float) -> float:
    """Value in the first `share` of the weight of rows in order."""
    places = share * weight.sum() - (np.cumsum(weight) - weight)
    return float(value @ np.clip(places, 0.0, weight))


def require_two_classes(y: Floats, *, what: str) -> None:
    """Raise unless `y` holds zeros and ones.

    Raises
    ------
    OneClassError
        When every label is the same.
    """
    if len(np.unique(y)) < 2:
        raise OneClassError(
            f"Every label of {what} is the same.",
            found=f"{len(y)} labels, all {y[0]:g}" if len(y) else "no labels",
            expected="both 0 and 1",
            fix="widen the window of as-of dates, or the definition of the label",
        )


def cluster_weights(
    clusters: npt.ArrayLike, *, n_resamples: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the cluster of each row and, per resample, how often each cluster was drawn."""
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    n = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_resamples)]
    return codes, np.array(drawn, dtype=np.float64)


def bootstrap(
    statistic: Callable[[Floats], npt.ArrayLike],
    clusters: npt.ArrayLike,
    *,
    n_resamples: int = 400,
    seed: int = 0,
    level: float = LEVEL,
) -> list[Interval]:
    """Percentile intervals of a weighted statistic over resampled clusters.

    Parameters
    ----------
    statistic : callable
        Takes a weight per row and returns one or several numbers; paired comparisons return
        the difference as one of them.
    clusters : array of shape (n,)
        Rows that belong together (a dealer, a county): they are drawn together.

    Returns
    -------
    list of Interval
        One for each number of `statistic`.
    """
    codes, draws = cluster_weights(clusters, n_resamples=n_resamples, seed=seed)
    point = np.atleast_1d(np.asarray(statistic(np.ones(len(codes))), dtype=np.float64))
    drawn = np.array([np.atleast_1d(statistic(d[codes])) for d in draws], dtype=np.float64)
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return [
        Interval(float(p), float(a), float(b), level)
        for p, a, b in zip(point, low, high, strict=True)
    ]


def weighted_share(
    y: Floats, weight: Floats, clusters: npt.ArrayLike, *, level: float = LEVEL
) -> Interval:
    """Share of weighted rows that are 1, with an interval that holds for few rows too.

    The exact binomial interval (Clopper and Pearson) at the number of equal, independent rows that
    these are worth (Korn and Graubard 1998): by their weights, and by how findings cluster. A
    bootstrap of two dozen rows is too narrow, and has no width where findings are all alike.

    Parameters
    ----------
    y, weight : array of shape (n,)
        0 to 1, and weights; rows without weight do not count.
    clusters : array of shape (n,)
        Rows of one cluster (a dealer) vary together.

    Examples
    --------
    >>> str(weighted_share(np.zeros(24), np.ones(24), np.arange(24)))
    '0.000 (0.000 to 0.142)'
    """
    used = weight > 0
    w, v = weight[used], y[used]
    codes = np.unique(np.asarray(clusters)[used], return_inverse=True)[1]
    total = float(w.sum())
    p = float(w @ v) / total
    sizes = np.bincount(codes, weights=w)
    n = total**2 / float(sizes @ sizes)
    m = len(sizes)
    moved = np.bincount(codes, weights=w * (v - p)) / total
    variance = float(moved @ moved) * m / max(m - 1, 1)
    if variance > 0:
        n = min(n, p * (1.0 - p) / variance)
    found, tail = p * n, (1.0 - level) / 2.0
    low = float(beta.ppf(tail, found, n - found + 1.0)) if found > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, found + 1.0, n - found)) if found < n else 1.0
    return Interval(p, low, high, level)


def brier(y: Floats, p: Floats, *, weight: Floats | None = None) -> float:
    """Mean squared distance between probability and outcome."""
    return float(np.average((np.asarray(p) - y) ** 2, weights=weight))


@dataclass(frozen=True)
class Reliability:
    """A reliability curve over bins of equal size.

    Parameters
    ----------
    predicted, observed : array of shape (n_bins,)
        Mean probability and rate of the outcome in each bin.
    size : array of shape (n_bins,)
        Weight in each bin.
    effective : array of shape (n_bins,)
        Equal, independent rows that would carry the same information.
    """

    predicted: Floats
    observed: Floats
    size: Floats
    effective: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance between predicted and observed rate."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.size))

    def interval(self, *, is_count: bool, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return between what the rate of each bin may lie, by its effective size.

        Exact intervals: of a share, or of the mean of counts that fall as Poisson's do, at the
        number of rows that these are worth where they do not. A mean of no findings and one of all
        have an interval too.
        """
        tail, n = (1.0 - level) / 2.0, self.effective
        found = self.observed * n
        with np.errstate(invalid="ignore"):
            if is_count:
                low, high = gamma.ppf(tail, found) / n, gamma.ppf(1.0 - tail, found + 1.0) / n
            else:
                low = beta.ppf(tail, found, n - found + 1.0)
                high = beta.ppf(1.0 - tail, found + 1.0, n - found)
        none, all_found = found <= 0, (not is_count) & (found >= n)
        return np.where(none, 0.0, low), np.where(all_found, 1.0, high)


def reliability(
    y: Floats,
    p: Floats,
    *,
    n_bins: int = 10,
    weight: Floats | None = None,
    clusters: npt.ArrayLike | None = None,
) -> Reliability:
    """Compare probabilities with rates in `n_bins` bins of equally many rows.

    Parameters
    ----------
    y, p : array of shape (n,)
        Outcome, 0 to 1 or a count, and what was expected.
    weight : array of shape (n,), optional
    clusters : array of shape (n,), optional
        Rows of one cluster (a dealer) vary together; each row is one by default. Where they, or
        counts, vary by more than chance, a bin is worth fewer rows than it has (Korn and Graubard
        1998).
    """
    p = np.asarray(p, dtype=np.float64)
    w = np.ones(len(p)) if weight is None else np.asarray(weight, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    bins = np.minimum(np.arange(len(p)) * n_bins // len(p), n_bins - 1)
    size = np.bincount(bins, weights=w[order], minlength=n_bins).astype(np.float64)
    predicted = np.bincount(bins, weights=(p * w)[order], minlength=n_bins)
    observed = np.bincount(bins, weights=(np.asarray(y) * w)[order], minlength=n_bins)
    squares = np.bincount(bins, weights=w[order] ** 2, minlength=n_bins)
    keep = size > 0
    predicted, observed, size = predicted[keep], observed[keep], size[keep]
    rate = observed / size
    codes = np.arange(len(p)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    told = [
        _variance_of_mean(y[own], w[own], codes[own])
        for own in (order[bins == b] for b in np.flatnonzero(keep))
    ]
    chance = rate * (1.0 - rate) if np.max(y, initial=0.0) <= 1.0 else rate
    worth = np.divide(chance, told, out=np.full(len(rate), np.inf), where=np.array(told) > 0)
    return Reliability(predicted / size, rate, size, np.minimum(size**2 / squares[keep], worth))


def _variance_of_mean(y: Floats, w: Floats, codes: npt.NDArray[np.int64]) -> float:
    """Return the variance of a weighted mean as its clusters vary; zero where they are alike."""
    own = np.unique(codes, return_inverse=True)[1]
    moved = np.bincount(own, weights=w * (y - np.average(y, weights=w))) / w.sum()
    m = len(moved)
    return float(moved @ moved) * m / max(m - 1, 1)


def calibration_errors(drawn: Floats, p: Floats, weight: Floats, *, n_bins: int = 10) -> Floats:
    """Return the expected calibration error of many outcomes of the same rows, shape (n_drawn,).

    What `reliability` says of each, with the rows put into order once.

    Parameters
    ----------
    drawn : array of shape (n_drawn, n)
        Outcomes of each row.
    p, weight : array of shape (n,)
    """
    order = np.argsort(p, kind="stable")
    bins = np.arange(len(p)) * n_bins // len(p)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    w, expected = weight[order], p[order]
    size = np.add.reduceat(w, starts)
    keep = size > 0
    predicted = np.add.reduceat(expected * w, starts)[keep] / size[keep]
    observed = np.add.reduceat(drawn[:, order] * w, starts, axis=1)[:, keep] / size[keep]
    return np.asarray(np.abs(observed - predicted) @ size[keep] / size.sum())


def effective_sample_size(weight: Floats) -> float:
    """Return how many equally weighted rows would carry the same information (Kish).

    >>> effective_sample_size(np.array([1.0, 1.0, 1.0, 1.0]))
    4.0
    """
    w = np.asarray(weight, dtype=np.float64)
    return float(w.sum() ** 2 / (w**2).sum())
