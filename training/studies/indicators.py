"""Whether the indicators work: each signal and family against what inspections found.

Answers the open audit recommendation to assess risk indicators recurrently (DOJ OIG 23-062). Each
indicator and each family stands alone and is taken away from the rest, in all, by year and by
division, weighted for who was chosen and on the random share that nobody chose, with intervals.
Dealers that judge never teach: every score is from a fit on other dealers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.warehouse import Warehouse
from training.errors import TooFewLabelsError
from training.evaluation import efficacy
from training.evaluation.baselines import LogLogistic
from training.evaluation.efficacy import Estimate
from training.evaluation.metrics import IntervalRecord
from training.heads import country_history as country
from training.heads.compliance import compliance
from training.heads.fit import Design, design
from training.labels import dated_labels as labels
from training.labels.splits import group_folds
from training.labels.weights.propensity import Propensity
from training.progress import Steps
from training.recipe import Recipe
from training.studies.documents import (
    AssessedRecord,
    AssessmentRecord,
    BoundsRecord,
    FamilyRecord,
    IndicatorsDocument,
    SignalRecord,
    StratumRecord,
)

N_FOLDS = 3
MIN_POSITIVE = 20
# The random share is small: below this many findings (and clean rows) it says nothing.
MIN_RANDOM = 10


@dataclass(frozen=True)
class Inspected:
    """Past inspections with the signals that stood before them.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    y, weight : array of shape (n,)
        Severe or not; inverse propensity.
    dealer : array of shape (n,)
        Codes from zero; inspections of a dealer vary together.
    year, division : array of shape (n,)
    is_random : array of shape (n,)
        Drawn at random: the unbiased stratum.
    standing : array of shape (n,), optional
        How many dealers each drawn row stands for; equal by default.
    day : array of shape (n,), optional
        As-of date of each row: a list is made of the dealers of a day. One day by default.
    """

    X: pd.DataFrame
    y: Floats
    weight: Floats
    dealer: npt.NDArray[np.int64]
    year: npt.NDArray[Any]
    division: npt.NDArray[Any]
    is_random: npt.NDArray[np.bool_]
    standing: Floats | None = None
    day: npt.NDArray[Any] | None = None

    @property
    def drawn_weight(self) -> Floats:
        """Weight of each row drawn at random, zero for the others."""
        drawn = self.is_random.astype(np.float64)
        return drawn if self.standing is None else drawn * self.standing

    def strata(self) -> Iterator[tuple[str, str, Floats]]:
        """Kind, name and weights of each part of the inspections that can say something."""
        yield "all", "", self.weight
        if self._is_enough(self.is_random, MIN_RANDOM):
            yield "random", "", self.drawn_weight
        for kind, groups in (("by_year", self.year), ("by_division", self.division)):
            for value in np.unique(groups[groups != ""]):
                is_own = groups == value
                if self._is_enough(is_own, MIN_POSITIVE):
                    yield kind, str(value), self.weight * is_own

    def _is_enough(self, rows: npt.NDArray[np.bool_], n: int) -> bool:
        n_positive = float(self.y[rows].sum())
        return bool(n <= n_positive <= rows.sum() - n)


def indicators(recipe: Recipe, warehouse: Warehouse, steps: Steps) -> IndicatorsDocument:
    """Assess every indicator and family.

    Returns
    -------
    dict
        ``signals`` and ``families``; each entry has the AUC ``alone``, what it has ``added`` to
        the rest, and the ``lift`` of the first tenth by it: in all, on the random share
        (``…_random``), by year and by division.

    Raises
    ------
    TooFewLabelsError
        When there are too few severe findings, or no clean inspection, to say anything.
    """
    head = recipe.head_of_label("compliance")
    history = country.assemble(recipe, warehouse, steps)
    made = design(history.table, head)
    with steps.step("inspections of the past"):
        past, propensity = gather(recipe, warehouse, history, made)
    found = assess(past, made, steps, share=recipe.evaluation.capacity, seed=recipe.seed)
    return {
        "recipe": recipe.name,
        "data_fingerprint": warehouse.fingerprint,
        "first_year": int(min(past.year)),
        "last_year": int(max(past.year)),
        "propensity_auc": propensity.auc,
        **found,
    }


def gather(
    recipe: Recipe, warehouse: Warehouse, history: country.CountryHistory, made: Design
) -> tuple[Inspected, Propensity]:
    """Collect the inspected rows at every as-of date of a history."""
    found = labels.compliance(
        warehouse,
        (*history.split.train_as_of, *history.split.test_as_of),
        rule=recipe.read_policy().severe_finding,
        known_before=history.known_before,
        records_to=history.end,
        horizon_months=recipe.horizon_months,
    )
    found.require_enough(n_positive=MIN_POSITIVE, what="indicators")
    rows = history.rows
    looked = compliance.place_labels(rows, found)
    dealer = rows["dealer"].to_numpy(dtype=str)
    propensity = looked.propensity(made.X, dealer, seed=recipe.seed)
    index = np.flatnonzero(looked.is_inspected)
    past = Inspected(
        X=made.X.iloc[index].reset_index(drop=True),
        y=looked.y[index],
        weight=propensity.weights()[index],
        dealer=np.unique(dealer[index], return_inverse=True)[1].astype(np.int64),
        year=rows["as_of"].dt.year.to_numpy()[index].astype(str),
        division=looked.division.to_numpy(dtype=str)[index],
        is_random=looked.is_random[index],
        standing=looked.sampled.standing(looked.delay_weight)[index],
        day=np.unique(rows["as_of"].to_numpy()[index], return_inverse=True)[1],
    )
    return past, propensity


def assess(
    past: Inspected, made: Design, steps: Steps, *, share: float, seed: int
) -> AssessmentRecord:
    """Assess every column of `past.X`, alone and added to the rest.

    Parameters
    ----------
    made : Design
        Names, families and expected directions of the columns.
    share : float
        The lift is that of the first `share` by an indicator.
    """
    n_positive = int(past.y.sum())
    if not MIN_POSITIVE <= n_positive <= len(past.y) - MIN_POSITIVE:
        raise TooFewLabelsError(
            "Too few findings to assess indicators.",
            found=f"{n_positive} severe of {len(past.y)} inspections",
            expected=f"at least {MIN_POSITIVE} severe and {MIN_POSITIVE} not",
            fix="ingest a longer history of inspections",
        )
    columns = {str(name): place for place, name in enumerate(past.X.columns)}
    members: dict[str, list[int]] = {}
    for signal in made.signals:
        members.setdefault(signal.family, []).append(columns[signal.name])
    folds = group_folds(past.dealer, n_folds=N_FOLDS, seed=seed)
    with steps.step("everything, and everything but each"):
        whole, without = efficacy.held_out_without(
            past.X,
            past.y,
            past.weight,
            folds=folds,
            blocks={s.name: [columns[s.name]] for s in made.signals}
            | {"family " + family: own for family, own in members.items()},
        )
    strata = list(past.strata())
    full = [efficacy.auc(whole, past.y, w, within=past.day) for _, _, w in strata]
    signals: list[SignalRecord] = []
    families: list[FamilyRecord] = []
    with steps.step("each signal"):
        for signal in made.signals:
            value = past.X[signal.name].to_numpy(dtype=np.float64)
            score = oriented(value, signal.direction)
            entry = _entry(past, strata, full, score, without[signal.name], share)
            signals.append(
                {
                    "signal": signal.name,
                    "family": signal.family,
                    "direction": int(signal.direction),
                    "share_seen": float(np.isfinite(value).mean()),
                    **entry,
                    "verdict": verdict(entry["alone"], entry["added"], int(signal.direction)),
                }
            )
    with steps.step("each family"):
        for family, own in members.items():
            score = _held_out(past, own, folds)
            entry = _entry(past, strata, full, score, without["family " + family], share)
            families.append(
                {
                    "family": family,
                    "n_signals": len(own),
                    **entry,
                    "verdict": verdict(entry["alone"], entry["added"]),
                }
            )
    return {
        "n": len(past.y),
        "n_positive": n_positive,
        "n_random": int(past.is_random.sum()),
        "n_random_positive": int(past.y[past.is_random].sum()),
        "capacity": share,
        "auc_of_all": full[0].share_interval(past.dealer).as_dict(),
        "signals": signals,
        "families": families,
    }


def oriented(value: Floats, direction: int) -> Floats:
    """Order rows so that the riskier by the expected direction come first, missing ones last.

    Examples
    --------
    >>> oriented(np.array([1.0, np.nan, 3.0]), -1).tolist()
    [-1.0, -4.0, -3.0]
    """
    score = -value if direction < 0 else value
    is_seen = np.isfinite(score)
    lowest = float(score[is_seen].min()) - 1.0 if is_seen.any() else 0.0
    return np.where(is_seen, score, lowest)


def verdict(alone: BoundsRecord, added: BoundsRecord, direction: int = 1) -> str:
    """Say what the intervals let one say of an indicator or family.

    Returns
    -------
    str
        ``works and adds``, ``works``, ``not shown`` or ``contradicts``; where no direction is
        expected, either works.
    """
    is_above, is_below = alone["low"] > 0.5, alone["high"] < 0.5
    if is_below and direction != 0:
        return "contradicts"
    if not (is_above or is_below):
        return "not shown"
    return "works and adds" if added["low"] > 0 else "works"


def _entry(
    past: Inspected,
    strata: Sequence[tuple[str, str, Floats]],
    full: Sequence[Estimate],
    alone: Floats,
    without: Floats,
    share: float,
) -> AssessedRecord:
    """Every figure of one score: alone, what the rest loses without it, and its lift."""

    def figures(weight: Floats, everything: Estimate) -> StratumRecord:
        own = efficacy.auc(alone, past.y, weight, within=past.day)
        added = everything - efficacy.auc(without, past.y, weight, within=past.day)
        return {
            "alone": own.share_interval(past.dealer).as_dict(),
            "added": added.interval(past.dealer).as_dict(),
        }

    def lift(weight: Floats) -> IntervalRecord:
        found = efficacy.lift(alone, past.y, weight, share=share, within=past.day)
        return found.ratio_interval(past.dealer).as_dict()

    (_, _, every), *parts = strata
    out: AssessedRecord = {
        "alone_random": None, "added_random": None, "lift_random": None,
        "by_year": {}, "by_division": {}, **figures(every, full[0]), "lift": lift(every),
    }  # fmt: skip
    for (kind, name, weight), everything in zip(parts, full[1:], strict=True):
        found = figures(weight, everything)
        if kind == "by_year":
            out["by_year"][name] = found
        elif kind == "by_division":
            out["by_division"][name] = found
        else:
            out["alone_random"], out["added_random"] = found["alone"], found["added"]
            out["lift_random"] = lift(weight)
    return out


def _held_out(past: Inspected, columns: Sequence[int], folds: npt.NDArray[np.int64]) -> Floats:
    """Log-odds of a logistic regression on some columns, fitted on the other folds."""
    score = np.zeros(len(past.y))
    X = past.X.iloc[:, list(columns)]
    for fold in range(N_FOLDS):
        is_out = folds == fold
        model = LogLogistic().fit(X[~is_out], past.y[~is_out], sample_weight=past.weight[~is_out])
        score[is_out] = model.log_odds(X[is_out])
    return score
