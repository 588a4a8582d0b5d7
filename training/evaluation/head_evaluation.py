"""What is measured of a head on rows it has not seen, and beside it every simple rule.

The held-out table is the one currency between fitting, gates, reports and later comparisons:
``dealer``, ``as_of``, ``y``, ``weight``, ``cluster`` and ``score``, a ``rule_…`` column per simple
rule and a ``group_…`` column per way of looking for unfairness. Where dealers were chosen, the
column ``level_weight`` says which rows may judge the level of the probabilities. Rows are ordered
against those of the same ``as_of`` alone, for a list is made of the dealers of a day; the column
``ordered_on`` stands for it where rows of many days are judged by one model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from training.evaluation.documents import (
    CalibrationRecord,
    ContributionSummary,
    GroupRecord,
    MeasureRecord,
    ScoringFigures,
)
from training.evaluation.metrics import Ranking, bootstrap, brier, reliability
from training.recipe import Evaluation

RULE: Final = "rule_"
GROUP: Final = "group_"
LEVEL_WEIGHT: Final = "level_weight"
ORDERED_ON: Final = "ordered_on"
CURVE: Final = np.linspace(0.01, 1.0, 100)
SIZES: Final = ("fewest sales", "middle", "most sales")
# A group of fewer rows has no rate to speak of.
MIN_GROUP: Final = 10


def measure(rows: pd.DataFrame, settings: Evaluation, *, seed: int) -> MeasureRecord:
    """Measure the model and every rule on the held-out rows.

    Returns
    -------
    dict
        Figures with intervals, curves and the paired difference to each rule, ready for JSON.
    """
    y = rows["y"].to_numpy(dtype=np.float64)
    weight = rows["weight"].to_numpy(dtype=np.float64)
    names = ["score", *(c for c in rows.columns if c.startswith(RULE))]
    figures = _figures(rows, names, settings, seed=seed)
    score = rows["score"].to_numpy(dtype=np.float64)
    out: MeasureRecord = {
        "n": len(rows),
        "n_positive": int((y > 0).sum()),
        "rate": float(np.average(y, weights=weight)),
        "n_clusters": int(rows["cluster"].nunique()),
        "model": figures["score"],
        "rules": {n.removeprefix(RULE): figures[n] for n in names[1:]},
        "calibration": calibration(y, score, level_weight(rows), rows["cluster"]),
        "curves": {
            n.removeprefix(RULE): ranking(rows, n).gain_curve(y, CURVE, weight=weight).tolist()
            for n in names
        },
        "groups": groups(rows, settings.capacity),
    }
    ends = ranking(rows, "score").captured_range(y, share=settings.capacity, weight=weight)
    out["model"]["recall_worst"], out["model"]["recall_best"] = (end / (y @ weight) for end in ends)
    return out


def _figures(
    rows: pd.DataFrame, names: list[str], settings: Evaluation, *, seed: int
) -> dict[str, ScoringFigures]:
    """AUC, recall, precision, lift and NDCG of each scoring, with the difference to the model."""
    y = rows["y"].to_numpy(dtype=np.float64)
    is_positive = (y > 0).astype(np.float64)
    weight = rows["weight"].to_numpy(dtype=np.float64)
    rankings = [ranking(rows, name) for name in names]
    share = settings.capacity

    def statistic(w: Floats) -> Floats:
        w = w * weight
        auc = np.array([r.auc(is_positive, weight=w) for r in rankings])
        found = np.array([r.captured(y, share=share, weight=w) for r in rankings])
        total = float(y @ w)
        # A resample without a finding says nothing of where findings stand.
        recall = found / total if total > 0 else np.full(len(found), np.nan)
        precision = found / (share * w.sum())
        return np.concatenate([auc, recall, precision, auc[0] - auc, recall[0] - recall])

    drawn = bootstrap(statistic, rows["cluster"], n_resamples=settings.n_resamples, seed=seed)
    n = len(names)
    out: dict[str, ScoringFigures] = {}
    for i, name in enumerate(names):
        auc, recall, precision, auc_gain, recall_gain = (one.as_dict() for one in drawn[i::n])
        entry: ScoringFigures = {
            "auc": auc,
            "recall": recall,
            "precision": precision,
            "lift": recall["value"] / share,
            "ndcg": rankings[i].ndcg(y, share=share),
        }
        if i:
            entry["auc_gain"], entry["recall_gain"] = auc_gain, recall_gain
        out[name] = entry
    return out


def level_weight(rows: pd.DataFrame) -> Floats:
    """Weight of each row in judging the level of probabilities, shape (n,)."""
    name = LEVEL_WEIGHT if LEVEL_WEIGHT in rows.columns else "weight"
    return rows[name].to_numpy(dtype=np.float64)


def calibration(
    y: Floats, score: Floats, weight: Floats, clusters: npt.ArrayLike | None = None
) -> CalibrationRecord:
    """Brier score, expected calibration error and the reliability curve."""
    curve = reliability(y, score, weight=weight, clusters=clusters)
    low, high = curve.interval(is_count=bool(np.max(y, initial=0.0) > 1.0))
    return {
        "brier": brier(y, score, weight=weight),
        "ece": curve.ece,
        "predicted": curve.predicted.tolist(),
        "observed": curve.observed.tolist(),
        "observed_low": low.tolist(),
        "observed_high": high.tolist(),
        "size": curve.size.tolist(),
    }


def size_of(sales: pd.Series, on: pd.Series) -> npt.NDArray[np.str_]:
    """Return the third by sales that each dealer is in among those of its day.

    Dealers of the same sales are of one third, and sales that are not known count as none.

    >>> size_of(pd.Series([0.0, 3.0, 5.0, 70.0, 90.0, None]), pd.Series(["2024"] * 6))[2:].tolist()
    ['middle', 'most sales', 'most sales', 'fewest sales']
    """
    ranks = sales.fillna(0.0).groupby(on.to_numpy()).rank(pct=True).to_numpy(dtype=np.float64)
    third = np.clip(np.ceil(ranks * len(SIZES)) - 1, 0, len(SIZES) - 1).astype(int)
    out: npt.NDArray[np.str_] = np.array(SIZES)[third]
    return out


def groups(rows: pd.DataFrame, capacity: float) -> dict[str, list[GroupRecord]]:
    """Per group: share of the list, base rate, mean score and recall at capacity.

    A gap in list share has three possible reasons, and the columns tell them apart: the base rate
    differs, exposure differs (share of dealers), or the model errs (mean score against rate).
    Rows are weighted as in the figures beside it: where visits were chosen, a group stands for its
    dealers, not for how many of them somebody chose. Groups of fewer than `MIN_GROUP` rows
    are marked: their figures are luck.
    """
    listed = membership(rows, "score", capacity)
    y, w, score = (rows[name].to_numpy(dtype=np.float64) for name in ("y", "weight", "score"))
    out: dict[str, list[GroupRecord]] = {}
    for column in (c for c in rows.columns if c.startswith(GROUP)):
        found: list[GroupRecord] = []
        for value, index in sorted(rows.groupby(column, observed=True).indices.items()):
            yi, wi = y[index], w[index]
            found.append(
                {
                    "group": str(value),
                    "n": len(index),
                    "n_positive": int((yi > 0).sum()),
                    "is_few": len(index) < MIN_GROUP,
                    "share_of_dealers": float(wi.sum() / w.sum()),
                    "share_of_list": float(wi @ listed[index] / (w @ listed)),
                    "rate": float(wi @ yi / wi.sum()),
                    "mean_score": float(wi @ score[index] / wi.sum()),
                    "recall": float((wi * yi) @ listed[index] / (wi @ yi)) if wi @ yi else None,
                }
            )
        out[column.removeprefix(GROUP)] = found
    return out


def lists_of(rows: pd.DataFrame) -> npt.NDArray[Any]:
    """Return the list that each row would be on: the day on which its dealers are put in order."""
    for name in (ORDERED_ON, "as_of"):
        if name in rows:
            return rows[name].to_numpy()
    return np.zeros(len(rows), dtype=np.int64)


def ranking(rows: pd.DataFrame, name: str) -> Ranking:
    """Return the order that a column of a held-out table gives to the rows of each list."""
    return Ranking(rows[name], lists_of(rows))


def membership(rows: pd.DataFrame, name: str, share: float) -> Floats:
    """Probability that each row of a held-out table is on its list, by one of its orders."""
    weight = rows["weight"].to_numpy(dtype=np.float64)
    return list_membership(rows[name], share, within=lists_of(rows), weight=weight)


def overlap_of(rows: pd.DataFrame, first: str, second: str, *, share: float) -> float:
    """Share of the lists by one order of a held-out table that is on those by another."""
    return _shared(membership(rows, first, share), membership(rows, second, share))


def list_membership(
    score: npt.ArrayLike,
    share: float,
    *,
    within: npt.ArrayLike | None = None,
    weight: Floats | None = None,
) -> Floats:
    """Probability that each row is among the first `share`, ties sharing the last places.

    Parameters
    ----------
    within : array of shape (n,), optional
        The list of each row; one list unless given.
    weight : array of shape (n,), optional
        How many dealers each row stands for: the share is one of these. Equal by default.
    """
    order = Ranking(score, within)
    size, reached = order.places(weight)
    out = np.zeros(len(order.order))
    for one, groups in zip(order.lists, order.groups, strict=True):
        places = share * size[groups].sum() - (reached[groups] - size[groups])
        # Rows of no weight stand for nobody; they are on a list where others of their score are.
        part = np.clip(places, 0.0, size[groups]) / np.where(size[groups] > 0, size[groups], 1.0)
        part = np.where(size[groups] > 0, part, places > 0)
        n = np.diff(np.append(order.starts[groups], one.stop))
        out[order.order[one]] = np.repeat(part, n)
    return out


def list_overlap(first: npt.ArrayLike, second: npt.ArrayLike, *, share: float) -> float:
    """Share of one list that is on the other too; 1 when the lists are the same.

    >>> list_overlap([3.0, 2.0, 1.0, 0.0], [2.0, 3.0, 1.0, 0.0], share=0.5)
    1.0
    """
    return _shared(list_membership(first, share), list_membership(second, share))


@dataclass(frozen=True)
class Overlap:
    """What two lists share, and what they may share where ties are broken by lot.

    Parameters
    ----------
    value : float
        Share of one list that is on the other, ties sharing the last places.
    least, most : float
        The same by the lots that part the lists most and least; equal where nothing ties at the
        end of either list.
    """

    value: float
    least: float
    most: float


def overlap_by_lot(first: npt.ArrayLike, second: npt.ArrayLike, *, share: float) -> Overlap:
    """Return what two lists share, whatever the lots of dealers that tie.

    Examples
    --------
    >>> overlap_by_lot([3.0, 2.0, 1.0, 0.0], [2.0, 3.0, 1.0, 0.0], share=0.5)
    Overlap(value=1.0, least=1.0, most=1.0)
    >>> overlap_by_lot([1.0, 1.0, 1.0, 1.0], [2.0, 3.0, 1.0, 0.0], share=0.5)
    Overlap(value=0.5, least=0.0, most=1.0)
    """
    one, other = list_membership(first, share), list_membership(second, share)
    a, b = _Tied.of(one), _Tied.of(other)
    sure = np.minimum(one, other)[a.is_sure & b.is_sure].sum()
    n_both = (a.is_tied & b.is_tied).sum()
    # At most: tied places go to the sure ones of the other list first, then to the same dealers.
    of_b = min(a.places, (a.is_tied & b.is_sure).sum())
    of_a = min(b.places, (a.is_sure & b.is_tied).sum())
    most = sure + of_b + of_a + min(a.places - of_b, b.places - of_a, n_both)
    # At least: to those that the other list cannot have first, then to different ones.
    left = sum(
        max(0.0, mine.places - (mine.is_tied & ~theirs.is_sure & ~theirs.is_tied).sum())
        for mine, theirs in ((a, b), (b, a))
    )
    least = sure + max(0.0, left - n_both)
    return Overlap(_shared(one, other), float(least / one.sum()), float(most / one.sum()))


@dataclass(frozen=True)
class _Tied:
    is_sure: npt.NDArray[np.bool_]
    is_tied: npt.NDArray[np.bool_]
    places: float

    @classmethod
    def of(cls, membership: Floats) -> _Tied:
        # A place that the end of the list cuts is no tie of one dealer with itself.
        is_tied = (membership > 0) & (membership < 1)
        if is_tied.sum() == 1:
            is_tied[:] = False
        return cls((membership > 0) & ~is_tied, is_tied, float(membership[is_tied].sum()))


def _shared(first: Floats, second: Floats) -> float:
    return float(np.minimum(first, second).sum() / first.sum())


def contribution_summary(
    values: Floats, columns: list[str], X: pd.DataFrame
) -> ContributionSummary:
    """Mean absolute contribution of each signal and how it goes with the signal's value."""
    order = np.argsort(-np.abs(values).mean(axis=0))
    return {
        "signal": [columns[i] for i in order],
        "mean_absolute": [float(np.abs(values[:, i]).mean()) for i in order],
        "direction": [_direction(values[:, i], X[columns[i]].to_numpy()) for i in order],
    }


def _direction(contribution: Floats, value: npt.NDArray[np.floating[Any]]) -> float:
    """Correlation of value and contribution; 0 where either does not vary."""
    is_seen = np.isfinite(value)
    a, b = value[is_seen].astype(np.float64), contribution[is_seen]
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def flat_metrics(heads: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Metrics by dotted name, for tracking."""
    out: dict[str, float] = {}
    for head, entry in heads.items():
        for who, figures in {"model": entry["model"], **entry["rules"]}.items():
            for key in ("auc", "recall", "precision"):
                for bound in ("value", "low", "high"):
                    out[f"{head}.{who}.{key}.{bound}"] = float(figures[key][bound])
        out[f"{head}.brier"] = float(entry["calibration"]["brier"])
        out[f"{head}.ece"] = float(entry["calibration"]["ece"])
    return out
