"""Fit one head, and score every row of it with models that never saw the row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.errors import did_you_mean
from training.errors import MissingSignalError
from training.evaluation.baselines import LOGISTIC, RANDOM, LogLogistic, apply_rule, rule_signals
from training.evaluation.head_evaluation import RULE
from training.labels.splits import group_folds, require_disjoint
from training.recipe import Head

if TYPE_CHECKING:
    from features.signals.signal import Signal
    from features.table import FeatureTable
    from models import RateRegressor, RiskClassifier


@dataclass(frozen=True)
class Design:
    """The signals one head reads.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        Values, in the order of the feature table's rows.
    signals : tuple of Signal
        Their definitions, in the order of the columns.
    dropped : tuple of str
        Signals without any observed value, or with only one, left out.
    """

    X: pd.DataFrame
    signals: tuple[Signal, ...]
    dropped: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Size of the values as a fit reads them."""
        return self.X.size * np.dtype(np.float64).itemsize

    @property
    def monotone(self) -> dict[str, int]:
        """Expected direction of each signal."""
        return {signal.name: int(signal.direction) for signal in self.signals}


@dataclass(frozen=True)
class HeadResult:
    """What training made of one head.

    Parameters
    ----------
    head : Head
        Its part of the recipe.
    definition, judged_on : str
        The label, and on what it was judged, in words.
    held_out : DataFrame
        Judged rows (see `training.evaluation.head_evaluation`).
    estimator : RiskClassifier or RateRegressor or None
        Fitted on everything known; None when the head was refused.
    X : DataFrame
        What it was fitted on.
    entry : dict
        Figures for the report.
    rows : array of int, optional
        Rows of the feature table it learned from; all when None.
    everyone : DataFrame, optional
        ``dealer``, ``as_of`` and ``margin`` of every dealer at the judged dates, from models that
        stood before them; what the order of a list is judged by.
    place_signals : tuple of str
        Signals that name the office, left out of the compliance head; what the other heads owe to
        them is taken off the priority (`models.order.place_effects`).
    judged_place_signals : mapping of Timestamp to tuple of str
        The same of the model that stood before each judged date.
    learned : array of int, optional
        Rows of the feature table whose labels it learned from, where the table holds other dealers,
        too; support is told by them.
    """

    head: Head
    definition: str
    judged_on: str
    held_out: pd.DataFrame
    estimator: RiskClassifier | RateRegressor | None
    X: pd.DataFrame
    entry: dict[str, Any] = field(default_factory=dict)
    rows: npt.NDArray[np.int64] | None = None
    everyone: pd.DataFrame | None = None
    place_signals: tuple[str, ...] = ()
    judged_place_signals: Mapping[pd.Timestamp, tuple[str, ...]] = field(default_factory=dict)
    learned: npt.NDArray[np.int64] | None = None


def place_signals(
    results: Sequence[HeadResult], when: pd.Timestamp | None = None
) -> tuple[str, ...]:
    """Return the signals that name the office, as the compliance head left them out.

    Parameters
    ----------
    when : Timestamp, optional
        A judged date, for the model that stood before it; the shipped model without.
    """
    return tuple(
        dict.fromkeys(
            name
            for result in results
            for name in (
                result.place_signals if when is None else result.judged_place_signals.get(when, ())
            )
        )
    )


def design(table: FeatureTable, head: Head) -> Design:
    """Choose the signals a head reads from a feature table.

    Raises
    ------
    MissingSignalError
        When the recipe names a signal that the table does not have.
    """
    known = {signal.name: signal for signal in table.signals}
    names = head.signals or tuple(
        name for name, s in known.items() if not head.families or s.family in head.families
    )
    missing = [name for name in names if name not in known]
    if missing:
        raise MissingSignalError(
            f"The table lacks {len(missing)} signals that head {head.name} reads.",
            found=", ".join(f"{m}{did_you_mean(m, known)}" for m in missing[:5]),
            expected=f"all of {len(names)}",
            fix="build the table with the variant and families of the recipe, or mend the recipe",
        )
    X = table.X[list(names)]
    is_useful = X.nunique(dropna=True) > 1
    kept = [name for name in names if is_useful[name]]
    return Design(X[kept], tuple(known[n] for n in kept), tuple(n for n in names if n not in kept))


def families_of(head: Head) -> list[str] | None:
    """Return the families of the signals a head reads, so that no other is built; None for all."""
    from features.signals.registry import all_signals

    if head.families or not head.signals:
        return list(head.families) or None
    return list(dict.fromkeys(s.family for s in all_signals() if s.name in set(head.signals)))


def estimator(head: Head, monotone: dict[str, int], *, seed: int) -> RiskClassifier | RateRegressor:
    """Make the estimator a head asks for, unfitted."""
    from models import RateRegressor, RiskClassifier

    kind = RiskClassifier if head.kind == "probability" else RateRegressor
    parameters: dict[str, Any] = dict(head.parameters)
    return kind(monotone=monotone, random_state=seed, **parameters)


def inputs_of(model: RiskClassifier | RateRegressor, X: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a table that a model reads, in its order."""
    return X[list(model.columns_)]


def predict(model: RiskClassifier | RateRegressor, X: pd.DataFrame) -> Floats:
    """Probability or rate of each row, shape (n,)."""
    return mean_of(model, model.predict_margin(inputs_of(model, X)))


def mean_of(model: RiskClassifier | RateRegressor, margin: Floats) -> Floats:
    """Probability or rate of margins, shape (n,)."""
    from models import linear

    return linear.mean_of("binary" if hasattr(model, "predict_proba") else "poisson", margin)


def thin(y: Floats, *, max_rows: int | None, seed: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Choose rows to fit on: all above zero if they fit into half, then zeros, weighted up again.

    Returns
    -------
    index, weight : array of shape (m,)
        Rows in order, and the inverse of the probability with which each was kept.

    Examples
    --------
    >>> index, weight = thin(np.r_[np.ones(10), np.zeros(9990)], max_rows=1000, seed=0)
    >>> len(index), float(weight.sum())
    (1000, 10000.0)
    """
    if max_rows is None or len(y) <= max_rows:
        return np.arange(len(y)), np.ones(len(y))
    rng = np.random.default_rng(seed)
    above, zero = np.flatnonzero(y > 0), np.flatnonzero(y <= 0)
    n_above = min(len(above), max(max_rows // 2, max_rows - len(zero)))
    n_zero = max_rows - n_above
    weight = np.zeros(len(y))
    for rows, n in ((above, n_above), (zero, n_zero)):
        if len(rows):
            weight[rng.permutation(rows)[:n]] = len(rows) / min(n, len(rows))
    index = np.flatnonzero(weight)
    return index, weight[index]


@dataclass(frozen=True)
class CrossFit:
    """Scores of every row from models that saw no row of its group.

    Parameters
    ----------
    model : array of shape (n_repeats, n)
        Probability or rate, one row for each way of dealing out the groups.
    logistic : array of shape (n_repeats, n)
        Log-odds of the logistic regression on the same folds.
    """

    model: Floats
    logistic: Floats

    @property
    def score(self) -> Floats:
        """Mean over the repeats on the scale of log-odds, as a probability, shape (n,)."""
        p = np.clip(self.model, 1e-9, 1 - 1e-9)
        mean = np.log(p / (1 - p)).mean(axis=0)
        return np.asarray(1.0 / (1.0 + np.exp(-mean)), dtype=np.float64)


def cross_fit(
    X: pd.DataFrame,
    y: Floats,
    groups: npt.NDArray[Any],
    make: Callable[[int], RiskClassifier | RateRegressor],
    *,
    n_folds: int,
    n_repeats: int,
    seed: int,
    weight: Floats | None = None,
    step: Callable[[], None] = lambda: None,
) -> CrossFit:
    """Score every row by models that saw nothing of its group, groups dealt anew each repeat."""
    scores, logistic = np.zeros((n_repeats, len(y))), np.zeros((n_repeats, len(y)))
    for repeat in range(n_repeats):
        folds = group_folds(groups, n_folds=n_folds, seed=seed + repeat)
        for fold in range(n_folds):
            is_out = folds == fold
            require_disjoint(groups[~is_out], groups[is_out], what="groups")
            w = None if weight is None else weight[~is_out]
            model = make(seed + repeat)
            model.fit(X[~is_out], y[~is_out], sample_weight=w, groups=groups[~is_out])
            scores[repeat, is_out] = predict(model, X[is_out])
            rule = LogLogistic().fit(X[~is_out], y[~is_out], sample_weight=w)
            logistic[repeat, is_out] = rule.log_odds(X[is_out])
            step()
    return CrossFit(scores, logistic)


def absent_from_rules(rules: dict[str, str], X: pd.DataFrame) -> dict[str, list[str]]:
    """Name, by rule, the signals it adds up that a table lacks: they count zero in it.

    Parameters
    ----------
    X : DataFrame
        As `design` leaves it: without signals that are never observed or always the same.
    """
    missing = {
        name: sorted(set(rule_signals(text)) - set(X.columns)) for name, text in rules.items()
    }
    return {name: signals for name, signals in missing.items() if signals}


def rule_columns(
    rules: dict[str, str], X: pd.DataFrame, logistic: Floats | None
) -> dict[str, Floats]:
    """Score of every simple rule, by the name of its column.

    A signal that exists and that `X` lacks, because the data do or because it is the same for
    every dealer, counts zero (`absent_from_rules`).
    """
    from features.signals.registry import all_signals

    known = {signal.name for signal in all_signals()}
    out = {RULE + name: apply_rule(text, X, absent=known) for name, text in rules.items()}
    if logistic is not None:
        out[RULE + LOGISTIC] = logistic
    out[RULE + RANDOM] = np.zeros(len(X))  # all alike: what chance finds is its expectation
    return out


def held_out_table(
    rows: pd.DataFrame,
    *,
    y: Floats,
    score: Floats,
    cluster: npt.NDArray[Any],
    rules: dict[str, Floats],
    groups: pd.DataFrame,
    weight: Floats | None = None,
) -> pd.DataFrame:
    """Assemble the held-out table of a head."""
    base = rows[["dealer", "as_of"]].assign(
        y=y,
        weight=np.ones(len(rows)) if weight is None else weight,
        cluster=cluster,
        score=score,
    )
    columns: list[pd.DataFrame] = [
        base.reset_index(drop=True),
        pd.DataFrame(rules),
        groups.add_prefix("group_").reset_index(drop=True),
    ]
    return pd.concat(columns, axis=1)


def sample_rows(X: pd.DataFrame, *, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Positions of up to `n` rows, drawn without replacement and in order."""
    drawn = np.random.default_rng(seed).permutation(len(X))[:n]
    return np.sort(drawn)
