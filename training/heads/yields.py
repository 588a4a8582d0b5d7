"""What a proposed list would find, estimated from inspections that were chosen by others.

Each estimator answers the same question, the share of severe findings among the listed dealers,
and each fails in its own way; they are always shown side by side. Rows are dealers as of a date,
inspected or not; `listed` is the probability with which each is on the list.

References
----------
Dudík, Langford and Li (2011), doubly robust evaluation; Lakkaraju et al. (2017), contraction;
Manski (1990), bounds; Henderson et al. (2022), a random share that keeps evaluation honest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from training.errors import TooFewLabelsError
from training.evaluation.metrics import LEVEL, Interval, Ranking, bootstrap, effective_sample_size
from training.labels.propensity import Propensity

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
N_RESAMPLES = 300


@dataclass(frozen=True)
class History:
    """Who was inspected and what was found.

    Parameters
    ----------
    propensity : Propensity
        Probability of being inspected, and who was.
    y : array of shape (n,)
        1 for a severe finding; ignored where not inspected.
    is_random : array of shape (n,)
        Inspected because drawn at random.
    dealer : array of shape (n,)
        Clusters of the bootstrap.
    office : array of shape (n,)
        Office of each dealer, for contraction.
    """

    propensity: Propensity
    y: Floats
    is_random: Flags
    dealer: npt.NDArray[Any]
    office: npt.NDArray[Any]

    @property
    def inspected(self) -> Flags:
        """Who was inspected, shape (n,)."""
        return self.propensity.is_inspected

    @property
    def found(self) -> Floats:
        """Severe findings, zero where nobody looked, shape (n,)."""
        return np.where(self.inspected, self.y, 0.0)

    @property
    def random(self) -> Floats:
        """Weight of each row drawn at random, zero for the others, shape (n,)."""
        return self.is_random * self.propensity.standing


def naive(history: History, listed: Floats) -> Interval:
    """Rate among the listed that happened to be inspected; wrong when they were chosen by risk."""
    return _rate(history, listed * history.inspected)


def weighted(history: History, listed: Floats) -> Interval:
    """Rate among the listed and inspected, each weighted by how unlikely its inspection was."""
    return _rate(history, listed * history.propensity.weights())


def random_stratum(history: History, listed: Floats) -> Interval:
    """Rate among the listed that were drawn at random: unbiased, and wide."""
    return _rate(history, listed * history.random)


def doubly_robust(history: History, listed: Floats, expected: Floats) -> Interval:
    """Modelled rate of the list, corrected by the weighted errors of the model where seen.

    Right when either the model or the propensity is.

    Parameters
    ----------
    expected : array of shape (n,)
        Probability of a severe finding under a model that never saw the row.
    """
    seen = listed * history.propensity.weights()
    if (seen > 0).sum() < 10:
        raise _too_few(seen)
    used = listed > 0
    modelled, weight = (listed * expected)[used], listed[used]
    error, seen = (seen * (history.found - expected))[used], seen[used]
    # The correction is a weighted mean of errors, not a sum of inverse probabilities: one unlikely
    # inspection then cannot carry the estimate beyond 0 and 1.
    (interval,) = bootstrap(
        lambda drawn: (
            (drawn @ modelled) / (drawn @ weight)
            + (drawn @ error) / np.maximum(drawn @ seen, 1e-12)
        ),
        history.dealer[used],
        n_resamples=N_RESAMPLES,
    )
    return interval


def served(score: Floats, interval: Floats, *, share: float) -> Interval:
    """Mean served probability of the list, its level set on the random share.

    Errors of level are common to all dealers, so the bounds are the means of their bounds.

    Parameters
    ----------
    score : array of shape (n,)
        Served probability, which also orders the list.
    interval : array of shape (n, 2)
        Served lower and upper probability.
    share : float
        Share of dealers that are listed.
    """
    from training.evaluation.evaluation import list_membership

    listed = list_membership(score, share)
    low, high = listed @ interval / listed.sum()
    return Interval(float(listed @ score / listed.sum()), float(low), float(high))


def bounds(history: History, listed: Floats) -> Interval:
    """Worst and best case: listed dealers out of reach of inspections may be all clean or all not.

    The value is the weighted rate where there is overlap; where nearly the whole list has none,
    the bounds say that nothing is known.
    """
    within = listed * history.propensity.has_overlap
    share_out = 1.0 - within.sum() / listed.sum()
    try:
        inside = _rate(history, within * history.propensity.weights())
    except TooFewLabelsError:
        inside = Interval(float("nan"), 0.0, 1.0)
    low = (1.0 - share_out) * inside.low
    high = (1.0 - share_out) * inside.high + share_out
    return Interval(inside.value if share_out == 0 else float("nan"), low, high)


def contraction(history: History, score: Floats, *, share: float) -> Interval | None:
    """Rate on a list of `share` of an office's dealers, drawn from those it inspected.

    Offices that inspect most see most labels; there a stricter list can be tried out by dropping
    inspected dealers from the bottom. None when no office inspected more than `share`.
    """
    names, codes = np.unique(history.office.astype(str), return_inverse=True)
    n = np.bincount(codes, minlength=len(names))
    n_inspected = np.bincount(codes, weights=history.inspected, minlength=len(names))
    generous = np.flatnonzero((n_inspected >= 1.25 * share * n) & (n_inspected >= 20))
    if len(generous) == 0:
        return None
    listed = np.zeros(len(score))
    for office in generous:
        rows = np.flatnonzero((codes == office) & history.inspected)
        kept = share * n[office] / len(rows)
        order = Ranking(score[rows]).order[: max(1, round(kept * len(rows)))]
        listed[rows[order]] = history.propensity.standing[rows[order]]
    return _rate(history, listed)


def national_rate(history: History) -> Interval:
    """Share of all dealers that an inspection would find severe, from the random share alone."""
    return _rate(history, history.random)


def every_estimate(
    history: History, score: Floats, expected: Floats, *, share: float
) -> dict[str, Interval | None]:
    """Estimate the rate of the list that takes the first `share` by score, in every way."""
    from training.evaluation.evaluation import list_membership

    listed = list_membership(score, share)
    out: dict[str, Interval | None] = {}
    for name, estimator in (
        ("naive", naive),
        ("weighted", weighted),
        ("random_stratum", random_stratum),
        ("bounds", bounds),
        ("doubly_robust", partial(doubly_robust, expected=expected)),
    ):
        try:
            out[name] = estimator(history, listed)
        except TooFewLabelsError:
            out[name] = None
    out["contraction"] = contraction(history, score, share=share)
    return out


def _rate(history: History, weight: Floats) -> Interval:
    if (weight > 0).sum() < 10:
        raise _too_few(weight)
    return _ratio(weight * history.found, weight, history.dealer)


def _too_few(weight: Floats) -> TooFewLabelsError:
    return TooFewLabelsError(
        "Too few inspected dealers are on the list to say what it would find.",
        found=f"{int((weight > 0).sum())} inspected and listed",
        expected="at least 10",
        fix="widen the list, or judge several as-of dates together",
    )


def _ratio(value: Floats, weight: Floats, dealer: npt.NDArray[Any]) -> Interval:
    """Ratio of two sums with a dealer-clustered interval; rows without weight are left out."""
    used = weight > 0
    v, w = value[used], weight[used]
    if not v.any() or (v == w).all():
        # Resampling findings that are all alike gives no width; Wilson's interval has one.
        n = max(1, int(effective_sample_size(w)))
        ends = binomtest(n if v.any() else 0, n).proportion_ci(LEVEL, method="wilson")
        return Interval(float(v.any()), float(ends.low), float(ends.high))
    (interval,) = bootstrap(
        lambda drawn: (drawn @ v) / (drawn @ w), dealer[used], n_resamples=N_RESAMPLES
    )
    return interval
