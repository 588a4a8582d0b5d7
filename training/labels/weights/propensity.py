"""How likely each dealer was to be inspected, and the weights that undo it.

Past inspections were chosen, so what they found is not what inspections would find. With the
probability ``p`` of being inspected given the same signals, a stabilized weight ``share / p`` makes
the inspected stand for everyone. It only works where ``p`` is not near zero: `overlap` says where
that fails, and an estimate then has bounds and no point.

References
----------
Robins, Hernán and Brumback (2000), marginal structural models; Crump et al. (2009), limited
overlap; Kish (1965), effective sample size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Flags, Floats
from features.openjson import Json
from training.errors import WeightsError
from training.evaluation.baselines import LogLogistic
from training.evaluation.metrics import Ranking, effective_sample_size
from training.labels.splits import group_folds

# A dealer inspected with less than this share of the average probability is out of reach: weights
# beyond its inverse rest on a handful of inspections.
MIN_RELATIVE: Final = 0.05
# Inspections are few and signals many: without a strong penalty the weights chase noise. The
# held-out log loss chooses among these inverse penalties.
STRENGTHS: Final = (0.0003, 0.001, 0.003, 0.01, 0.03)
MAX_ROWS: Final = 40_000
# So many modelled weights that are all clipped show that nobody can tell who was chosen.
_ENOUGH: Final = 10
CLIP: Final = (0.05, 10.0)
# Training trades a little bias for much less variance: a model that has the signals inspections
# were chosen by needs the weights less than an average does.
TRAINING_CLIP: Final = (0.3, 3.0)


@dataclass(frozen=True)
class Propensity:
    """Held-out probabilities of being inspected.

    Parameters
    ----------
    probability : array of shape (n,)
        For every dealer and as-of date, inspected or not.
    is_inspected : array of shape (n,)
        Who was.
    auc : float
        How well inspections can be foreseen; one half means they were as good as random.
    delay_weight : array of shape (n,), optional
        How many visits each inspected row stands for, because others are still open (see
        `training.labels.weights.delays`); one by default.
    known : array of shape (n,), optional
        How many dealers each row stands for by the design of its list or draw; zero where that is
        not known (see `training.labels.weights.sample_design`).
    """

    probability: Floats
    is_inspected: Flags
    auc: float
    delay_weight: Floats | None = None
    known: Floats | None = None

    @property
    def has_known(self) -> Flags:
        """Which inspected rows were chosen with a known probability, shape (n,)."""
        if self.known is None:
            return np.zeros(len(self.is_inspected), dtype=np.bool_)
        return np.asarray(self.is_inspected & (self.known > 0), dtype=np.bool_)

    @property
    def standing(self) -> Floats:
        """How many visits each row stands for, whoever chose them; zero where nobody looked."""
        if self.delay_weight is None:
            return self.is_inspected.astype(np.float64)
        return np.where(self.is_inspected, self.delay_weight, 0.0)

    @property
    def share(self) -> float:
        """Share inspected."""
        return float(self.is_inspected.mean())

    @property
    def has_overlap(self) -> Flags:
        """Where inspections were likely enough to speak for dealers like these, shape (n,)."""
        return np.asarray(self.probability >= MIN_RELATIVE * self.share, dtype=np.bool_)

    def weights(self, clip: tuple[float, float] = CLIP) -> Floats:
        """Stabilized, clipped weight of each inspected row; zero for the others, shape (n,).

        A row whose probability is known has the weight of its design, and no modelled one. Rows by
        design and rows by propensity each stand for all dealers, and count by what they tell.
        """
        clipped = np.clip(self._raw, *clip)
        has_known = self.has_known
        if self.known is not None:
            clipped[has_known] = evened(self.known[has_known])
        return clipped * self.standing

    @property
    def _raw(self) -> Floats:
        return np.asarray(self.share / np.maximum(self.probability, 1e-12), dtype=np.float64)

    def are_told(self, clip: tuple[float, float] = CLIP) -> bool:
        """Whether weights carry information: not where many are modelled, and all are clipped.

        Where some visits are of known probability weights rest on these, whoever else was seen.
        """
        modelled = self._raw[self.is_inspected & ~self.has_known]
        if len(modelled) < _ENOUGH or self.has_known.any():
            return True
        return bool(((modelled >= clip[0]) & (modelled <= clip[1])).any())

    def training_weights(self) -> Floats:
        """Weight of each inspected row in fitting, shape (n,); one by design counts as one visit.

        The order of dealers is learned from what the signals say, and who was chosen with a known
        probability was chosen apart from the finding.

        Raises
        ------
        WeightsError
            When none of the weights carries information.
        """
        if not self.are_told(TRAINING_CLIP):
            raw = self._raw[self.is_inspected]
            raise WeightsError(
                "Every inverse-propensity weight was clipped.",
                found=f"raw weights from {raw.min():.3g} to {raw.max():.3g}",
                expected=f"some between {TRAINING_CLIP[0]:g} and {TRAINING_CLIP[1]:g}",
                fix="inspections were chosen by rules these signals cannot follow; use the "
                "random-selection stratum, or bounds",
            )
        weight = self.weights(TRAINING_CLIP)
        return np.where(self.has_known, self.standing, weight)


def evened(weight: Floats) -> Floats:
    """Scale weights so that their sum is what they are worth in equally weighted rows.

    >>> evened(np.array([2.0, 2.0])).tolist()
    [1.0, 1.0]
    """
    return weight * (weight.sum() / (weight @ weight)) if len(weight) else weight


@dataclass(frozen=True)
class Overlap:
    """Whether the inspected can stand for everyone.

    Parameters
    ----------
    share_inspected, auc : float
        Share inspected and how foreseeable it was.
    share_out_of_reach : float
        Share of dealers that were practically never inspected.
    n_inspected, effective_n : float
        Inspected rows, and how many they are worth once weighted.
    largest_weight, share_clipped : float
        Extremes of the weights.
    imbalance : float
        Largest standardized mean difference of a signal between inspected and all, weighted.
    imbalance_before : float
        The same without weights.
    """

    share_inspected: float
    auc: float
    share_out_of_reach: float
    n_inspected: int
    effective_n: float
    largest_weight: float
    share_clipped: float
    imbalance: float
    imbalance_before: float

    def as_dict(self) -> Json:
        """Return it for a report."""
        return asdict(self)


def fit_propensity(
    X: pd.DataFrame, is_inspected: Flags, groups: npt.ArrayLike, *, n_folds: int = 3, seed: int = 0
) -> Propensity:
    """Estimate the probability of being inspected from the signals, held out by group.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        Signals of every dealer and as-of date.
    is_inspected : array of shape (n,)
        Who was inspected in the window after it.
    groups : array of shape (n,)
        Dealers; one is never in two folds.

    Notes
    -----
    Where everybody was inspected nobody was chosen: the probability is one.
    """
    inspected = np.asarray(is_inspected, dtype=np.bool_)
    if not inspected.any():
        raise WeightsError(
            "The probability of being inspected cannot be estimated.",
            found=f"{int(inspected.sum())} of {len(inspected)} inspected",
            expected="some inspected",
        )
    if inspected.all():
        return Propensity(np.ones(len(inspected)), inspected, 0.5)
    folds = group_folds(groups, n_folds=n_folds, seed=seed)
    log_odds = np.zeros(len(X))
    strengths: tuple[float, ...] = STRENGTHS
    rng = np.random.default_rng(seed)
    for fold in range(n_folds):
        is_out = folds == fold
        rows = np.flatnonzero(~is_out)
        rows = np.sort(rng.permutation(rows)[:MAX_ROWS])
        if inspected[rows].all() or not inspected[rows].any():
            # Nearly all or nearly none were: the others of the fold tell nothing of the choice.
            share = np.clip(inspected.mean(), 1.0 / len(inspected), 1.0 - 1.0 / len(inspected))
            log_odds[is_out] = np.log(share / (1.0 - share))
            continue
        fitted = LogLogistic.path(X.iloc[rows], inspected[rows].astype(np.float64), strengths)
        best, log_odds[is_out] = _best(fitted, X[is_out], inspected[is_out])
        strengths = (best.strength,)
    probability = 1.0 / (1.0 + np.exp(-log_odds))
    auc = Ranking(log_odds).auc(inspected.astype(np.float64))
    return Propensity(probability, inspected, auc)


def _best(fitted: Sequence[LogLogistic], X: pd.DataFrame, y: Flags) -> tuple[LogLogistic, Floats]:
    """Return the one whose probabilities fit the rows left out best, and its log-odds."""
    rows = fitted[0].standardized(X)  # the same for all: they were read from the same rows
    said = [rows @ model.coefficient + model.intercept for model in fitted]
    losses = [float(np.mean(np.logaddexp(0.0, each) - y * each)) for each in said]
    best = int(np.argmin(losses))
    return fitted[best], said[best]


def overlap(propensity: Propensity, X: pd.DataFrame) -> Overlap:
    """Report how far the inspected, weighted, look like everyone."""
    weights = propensity.weights()
    inspected = propensity.is_inspected
    own = weights[inspected]
    raw = propensity.share / np.maximum(propensity.probability[inspected], 1e-12)
    standing, is_modelled = propensity.standing[inspected], ~propensity.has_known[inspected]
    return Overlap(
        share_inspected=propensity.share,
        auc=propensity.auc,
        share_out_of_reach=float(1.0 - propensity.has_overlap.mean()),
        n_inspected=int(inspected.sum()),
        effective_n=effective_sample_size(own),
        largest_weight=float(own.max()),
        share_clipped=float(((own != raw * standing) & is_modelled).mean()),
        imbalance=_imbalance(X, weights),
        imbalance_before=_imbalance(X, inspected.astype(np.float64)),
    )


def _imbalance(X: pd.DataFrame, weights: Floats) -> float:
    """Largest standardized mean difference between the weighted rows and all rows."""
    values = X.to_numpy(dtype=np.float64)
    is_seen = np.isfinite(values)
    filled = np.where(is_seen, values, 0.0)
    n = is_seen.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / n
        deviation = np.sqrt(np.maximum((filled**2).sum(axis=0) / n - mean**2, 0.0))
        weighted = (weights @ filled) / (weights @ is_seen)
        difference = np.abs(weighted - mean) / deviation
    usable = difference[np.isfinite(difference)]
    return float(usable.max()) if len(usable) else 0.0
