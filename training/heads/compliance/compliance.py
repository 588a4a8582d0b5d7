"""The compliance head: how likely a severe finding is, from inspections that others chose.

Severe findings are known only where somebody looked, so training and evaluation are weighted by
inverse propensity and by the strictness of who looked. Weights cannot undo what those who chose
knew and the signals do not, so the level of the probabilities is set on the random share. How bad
each inspection was, not only whether it was severe, helps to rank while severe findings are few.
The naive figures stand beside all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.domain.number_words import counted
from models.policy import StrictnessPolicy
from training.evaluation.baselines import LogLogistic
from training.evaluation.few_findings import FEW_FINDINGS
from training.heads.fit import Design, estimator
from training.labels import dated_labels as labels
from training.labels.dated_labels import Labels
from training.labels.offices import divisions_of, home_offices, share_between
from training.labels.strictness import Strictness, fit_strictness, who_looked
from training.labels.weights.propensity import Propensity, fit_propensity
from training.labels.weights.recency import Recency, fit_recency
from training.labels.weights.sample_design import (
    HOME,
    LIST,
    OPENED,
    PROBABILITY,
    WHY,
    Sampled,
    sampled,
)
from training.recipe import Head, Recipe


@dataclass(frozen=True)
class Looked:
    """Labels of inspected rows, placed among all rows.

    Parameters
    ----------
    y : array of shape (n,)
        1 for a severe finding; zero where nobody looked.
    is_inspected : array of shape (n,)
        Who was inspected in the window. A visit so new that nearly none like it has closed does
        not count (see `training.labels.weights.delays`).
    sampled : Sampled
        How they were chosen, where that is known.
    graded : array of shape (n,)
        How bad it was, from 0 to 1; zero where nobody looked.
    delay_weight : array of shape (n,)
        How many visits each stands for, because others are still open; zero where nobody looked.
    office, division, investigator : Series of shape (n,)
        Who looked; empty where nobody did. The division is that of a published office code.
    """

    y: Floats
    graded: Floats
    is_inspected: npt.NDArray[np.bool_]
    sampled: Sampled
    delay_weight: Floats
    office: pd.Series
    division: pd.Series
    investigator: pd.Series

    def propensity(self, X: pd.DataFrame, dealer: npt.NDArray[Any], *, seed: int) -> Propensity:
        """Fit how likely each row of `X` was to be inspected."""
        fitted = fit_propensity(X, self.is_inspected, dealer, seed=seed)
        return replace(
            fitted, delay_weight=self.delay_weight, known=self.sampled.standing(np.ones(len(X)))
        )

    @property
    def is_random(self) -> npt.NDArray[np.bool_]:
        """Who was drawn at random, shape (n,)."""
        return self.sampled.is_drawn

    @property
    def level_weight(self) -> Floats:
        """Weight of each row in setting or judging a level; zero for those that cannot."""
        return self.sampled.level_weight(self.delay_weight)


def place_labels(rows: pd.DataFrame, found: Labels) -> Looked:
    """Place labels among rows of dealers and as-of dates."""
    kept = [
        "dealer", "as_of", "y", "graded", "selected_by", labels.DELAY_WEIGHT, "office",
        "investigator",
    ]  # fmt: skip
    kept += [name for name in (WHY, PROBABILITY, LIST, OPENED) if name in found.frame]
    joined = rows[["dealer", "as_of"]].merge(
        found.frame[kept], on=["dealer", "as_of"], how="left", validate="one_to_one"
    )
    delay_weight = joined[labels.DELAY_WEIGHT].fillna(0.0).to_numpy(dtype=np.float64)
    is_told = delay_weight > 0
    office = joined["office"].astype("string").where(is_told).fillna("").astype(object)
    if {"county", "state", "office"} <= set(rows.columns):
        where = rows[["county", "state", "office"]].reset_index(drop=True)
        joined[HOME] = home_offices(where, office).to_numpy()
    return Looked(
        np.where(is_told, joined["y"], 0.0),
        np.where(is_told, joined["graded"], 0.0),
        is_told,
        sampled(joined, is_told),
        delay_weight,
        office,
        divisions_of(office).fillna(""),
        joined["investigator"].astype("string").where(is_told).fillna(""),
    )


@dataclass(frozen=True)
class Weighted:
    """Training rows of the compliance head with their weights.

    Parameters
    ----------
    index : array of shape (m,)
        Positions among the rows given.
    weight : array of shape (m,)
        Inverse propensity, the visits each stands for, and how far it has faded.
    propensity : Propensity
        Over all rows given.
    strictness : Strictness
        Of who looked; its offset is of these rows.
    recency : Recency
        How fast labels fade.
    """

    index: npt.NDArray[np.int64]
    weight: Floats
    propensity: Propensity
    strictness: Strictness
    recency: Recency

    def treatment(self, looked: Looked, rows: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
        """Return what a fit is given beside signals and labels, each of shape (m,)."""
        level = looked.level_weight[self.index]
        return {
            "sample_weight": self.weight,
            "offset": self.strictness.offset,
            "graded": looked.graded[self.index],
            "representative": level > 0,
            "representative_weight": level,
            "period": rows["as_of"].to_numpy()[self.index],
        }


def weigh(
    X: pd.DataFrame, looked: Looked, rows: pd.DataFrame, policy: StrictnessPolicy, *, seed: int
) -> Weighted:
    """Weigh inspected rows so that they stand for all dealers, and tell who looked from them.

    Visits that are still open are stood for by closed ones of the same age and outcome.

    Parameters
    ----------
    X, rows : DataFrame of n rows
        Signals, and ``dealer``, ``as_of`` and place, of every dealer, inspected or not.
    """
    dealer = rows["dealer"].to_numpy(dtype=str)
    propensity = looked.propensity(X, dealer, seed=seed)
    index = np.flatnonzero(looked.is_inspected)
    weight = propensity.training_weights()[index]
    who = who_looked(looked.office, looked.investigator, rows, rows["as_of"])
    strictness = fit_strictness(
        X.iloc[index].reset_index(drop=True),
        (looked.y[index], weight),
        who.taken(index),
        dealer[index],
        policy,
        place_share=share_between(X, who.home),
        seed=seed,
    )
    period = rows["as_of"].to_numpy()[index]
    recency = fit_recency(
        X.iloc[index][list(strictness.columns)],
        (looked.y[index], weight),
        strictness.offset,
        period,
        seed=seed,
    )
    return Weighted(index, weight * recency.weights(period), propensity, strictness, recency)


@dataclass(frozen=True)
class FittedCompliance:
    """A fitted compliance head with what weighed its labels.

    Parameters
    ----------
    model : RiskClassifier
    logistic : LogLogistic
    weighted : Weighted
    n : int
        Inspections it was fitted on.
    n_severe : int
        The severe among them.
    n_level, n_level_severe : int
        Those of known probability, on which its level rests, and the severe among them.
    """

    model: Any
    logistic: LogLogistic
    weighted: Weighted
    n: int
    n_severe: int
    n_level: int
    n_level_severe: int

    @property
    def level_in_words(self) -> str:
        """What the level of the probabilities rests on."""
        return level_in_words(self.n_level, self.n_level_severe)


def level_in_words(n: int, n_severe: int) -> str:
    """Say what a level rests on, and how far so little may lead astray.

    Parameters
    ----------
    n, n_severe : int
        Visits of known probability, and the severe among them.

    Examples
    --------
    >>> level_in_words(320, 50)
    'The level rests on 320 visits of known probability, 50 of them severe.'
    """
    if not n:
        return (
            "No visit of known probability sets the level: what was found where others chose is "
            "taken for the level of all."
        )
    said = (
        f"The level rests on {counted(n, 'visit')} of known probability, {n_severe} of them severe."
    )
    if n_severe < FEW_FINDINGS:
        said += " So few leave it open to half or twice: read the interval, not the figure."
    return said


def fit(
    recipe: Recipe,
    head: Head,
    made: Design,
    rows: pd.DataFrame,
    found: Labels,
    *,
    is_treated: bool = True,
) -> FittedCompliance:
    """Fit on the inspected among `rows`.

    Parameters
    ----------
    rows : DataFrame
        ``dealer``, ``as_of`` and place of every dealer, inspected or not, at the labels' as-of
        dates (`CountryHistory.cohort`).
    is_treated : bool
        Weigh by inverse propensity, take strictness out, grade findings and set the level on the
        random share; False is the naive way, kept to be compared.
    """
    X = made.X.loc[rows.index]
    looked = place_labels(rows, found)
    dealer = rows["dealer"].to_numpy(dtype=str)
    weighted = weigh(X, looked, rows, recipe.read_policy().strictness, seed=recipe.seed)
    index = weighted.index
    logistic = LogLogistic().fit(X.iloc[index], looked.y[index])
    X = X[list(weighted.strictness.columns)] if is_treated else X
    monotone = {name: made.monotone[name] for name in X.columns}
    model = estimator(head, monotone, seed=recipe.seed)
    treatment = weighted.treatment(looked, rows) if is_treated else {}
    model.fit(X.iloc[index], looked.y[index], groups=dealer[index], **treatment)
    tells_level = looked.level_weight[index] > 0
    return FittedCompliance(
        model,
        logistic,
        weighted,
        len(index),
        int((looked.y[index] > 0).sum()),
        int(tells_level.sum()),
        int((looked.y[index][tells_level] > 0).sum()),
    )
