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

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from features.arrays import Flags, Floats
from training.errors import TooFewLabelsError
from training.evaluation.few_findings import FEW_FINDINGS
from training.evaluation.metrics import Interval, Ranking, bootstrap, weighted_share
from training.labels.weights.propensity import Propensity

N_RESAMPLES = 300
# Rows that a modelled weight must rest on. One of known probability says something for itself.
_ENOUGH = 10


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
    known : array of shape (n,), optional
        How many dealers each row stands for by the design of its list or draw, zero where that is
        not known (`training.labels.weights.sample_design`); drawn rows alone and alike by default.
    """

    propensity: Propensity
    y: Floats
    is_random: Flags
    dealer: npt.NDArray[Any]
    office: npt.NDArray[Any]
    known: Floats | None = None

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
        return self.is_random * self.design

    @property
    def design(self) -> Floats:
        """Weight of each row of known probability, zero for the others, shape (n,)."""
        if self.known is None:
            return self.is_random * self.propensity.standing
        return self.known

    @property
    def has_design(self) -> bool:
        """Whether any visit of known probability was made."""
        return bool((self.design > 0).any())


def naive(history: History, listed: Floats) -> Interval:
    """Rate among the listed that happened to be inspected; wrong when they were chosen by risk."""
    return _rate(history, listed * history.inspected)


def weighted(history: History, listed: Floats) -> Interval:
    """Rate among the listed and inspected, each weighted by how unlikely its inspection was."""
    return _rate(history, listed * _modelled_weights(history))


def random_stratum(history: History, listed: Floats) -> Interval:
    """Rate among the listed that were drawn at random: unbiased, and wide."""
    return _rate(history, listed * history.random, at_least=1)


def by_design(history: History, listed: Floats) -> Interval:
    """Rate among the listed that were chosen with a known probability, each by its inverse.

    A list that was obeyed is a census of its places; drawn dealers stand for all that it passed
    over. No model of who was chosen has a part in it.
    """
    return _rate(history, listed * history.design, at_least=1)


def doubly_robust(history: History, listed: Floats, expected: Floats) -> Interval:
    """Modelled rate of the list, corrected by the weighted errors of the model where seen.

    Right when either the model or the propensity is.

    Parameters
    ----------
    expected : array of shape (n,)
        Probability of a severe finding under a model that never saw the row.
    """
    seen = listed * _modelled_weights(history)
    if (seen > 0).sum() < _ENOUGH:
        raise _too_few(seen, _ENOUGH)
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


def served(
    score: Floats, interval: Floats, *, share: float, n_severe: int | None = None
) -> Interval:
    """Mean served probability of the list, its level set on the random share.

    Errors of level are common to all dealers, so the bounds are the means of their bounds. A model
    of fewer than `FEW_FINDINGS` severe findings has no point: what these do not tell it serves as
    the average, so that the listed would be stated too low.

    Parameters
    ----------
    score : array of shape (n,)
        Served probability, which also orders the list.
    interval : array of shape (n, 2)
        Served lower and upper probability.
    share : float
        Share of dealers that are listed.
    n_severe : int, optional
        Severe findings that the model was fitted on; enough by default.
    """
    from training.evaluation.head_evaluation import list_membership

    listed = list_membership(score, share)
    low, high = listed @ interval / listed.sum()
    is_told = n_severe is None or n_severe >= FEW_FINDINGS
    value = float(listed @ score / listed.sum()) if is_told else float("nan")
    return Interval(value, float(low), float(high))


def bounds(history: History, listed: Floats) -> Interval:
    """Worst and best case: everyone on the list that was not looked at is clean, or is not.

    No assumption has a part in it, so no value lies between: what was found among the listed is
    the least that there is to find (Manski 1990).
    """
    looked = listed * history.inspected
    total = float(listed.sum())
    low = float(looked @ history.found) / total
    return Interval(float("nan"), low, low + float(listed.sum() - looked.sum()) / total)


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
    """Share of all dealers that an inspection would find severe, by the design alone."""
    return _rate(history, history.design, at_least=1)


def every_estimate(
    history: History, score: Floats, expected: Floats, *, share: float
) -> dict[str, Interval | None]:
    """Estimate the rate of the list that takes the first `share` by score, in every way.

    Without any visit of known probability only the bounds stand: what was found by choice says
    nothing of a list, however it is weighted.
    """
    from training.evaluation.head_evaluation import list_membership

    listed = list_membership(score, share)
    out: dict[str, Interval | None] = {}
    for name, estimator in (
        ("naive", naive),
        ("weighted", weighted),
        ("by_design", by_design),
        ("random_stratum", random_stratum),
        ("bounds", bounds),
        ("doubly_robust", partial(doubly_robust, expected=expected)),
    ):
        out[name] = None
        if history.has_design or name == "bounds":
            with suppress(TooFewLabelsError):
                out[name] = estimator(history, listed)
    out["contraction"] = None
    if history.has_design:
        with suppress(TooFewLabelsError):
            out["contraction"] = contraction(history, score, share=share)
    return out


def _modelled_weights(history: History) -> Floats:
    if not history.propensity.are_told():
        raise TooFewLabelsError(
            "Who was inspected cannot be told from who was not by weights.",
            found="every inverse-propensity weight was clipped",
            expected="some that say how unlikely a visit was",
            fix="issue lists with a random share, and return their outcomes with the list",
        )
    return history.propensity.weights()


def _rate(history: History, weight: Floats, *, at_least: int = _ENOUGH) -> Interval:
    if (weight > 0).sum() < at_least:
        raise _too_few(weight, at_least)
    return weighted_share(history.found, weight, history.dealer)


def _too_few(weight: Floats, at_least: int) -> TooFewLabelsError:
    return TooFewLabelsError(
        "Too few inspected dealers are on the list to say what it would find.",
        found=f"{int((weight > 0).sum())} inspected and listed",
        expected=f"at least {at_least}",
        fix="widen the list, or judge several as-of dates together",
    )
