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

from features.warehouse import Warehouse
from models.policy import SevereFinding
from training.errors import TooFewLabelsError
from training.evaluation import stability
from training.evaluation.baselines import LogLogistic
from training.evaluation.evaluation import LEVEL_WEIGHT, measure
from training.evaluation.metrics import LEVEL, Interval
from training.heads import hours
from training.heads.country import CountryHistory
from training.heads.fit import (
    Design,
    HeadResult,
    design,
    estimator,
    held_out_table,
    predict,
    rule_columns,
)
from training.heads.yields import History, every_estimate, national_rate, served
from training.labels import labels
from training.labels.labels import Labels
from training.labels.leniency import Strictness, fit_strictness, label_weights, three_gains
from training.labels.propensity import TRAINING_CLIP, Propensity, fit_propensity, overlap
from training.progress import Steps
from training.recipe import Head, Recipe

Floats = npt.NDArray[np.float64]
# Severe findings that the random share must have made to judge the level by it alone.
MIN_RANDOM_POSITIVE = 10
WITHIN = (("assignment_fixed", "division"), ("within_investigator", "investigator"))


@dataclass(frozen=True)
class Looked:
    """Labels of inspected rows, placed among all rows.

    Parameters
    ----------
    y : array of shape (n,)
        1 for a severe finding; zero where nobody looked.
    is_inspected, is_random : array of shape (n,)
        Who was inspected in the window, and who was drawn at random. A visit so new that nearly
        none like it has closed does not count (see `training.labels.delays`).
    graded : array of shape (n,)
        How bad it was, from 0 to 1; zero where nobody looked.
    delay_weight : array of shape (n,)
        How many visits each stands for, because others are still open; zero where nobody looked.
    division, investigator : array of shape (n,)
        Who looked; empty where nobody did.
    """

    y: Floats
    graded: Floats
    is_inspected: npt.NDArray[np.bool_]
    is_random: npt.NDArray[np.bool_]
    delay_weight: Floats
    division: pd.Series
    investigator: pd.Series

    def propensity(self, X: pd.DataFrame, dealer: npt.NDArray[Any], *, seed: int) -> Propensity:
        """Fit how likely each row of `X` was to be inspected."""
        fitted = fit_propensity(X, self.is_inspected, dealer, seed=seed)
        return replace(fitted, delay_weight=self.delay_weight)


def place_labels(rows: pd.DataFrame, found: Labels) -> Looked:
    """Place labels among rows of dealers and as-of dates."""
    kept = [
        "dealer", "as_of", "y", "graded", "selected_by", labels.DELAY_WEIGHT, "office",
        "investigator",
    ]  # fmt: skip
    joined = rows.merge(
        found.frame[kept], on=["dealer", "as_of"], how="left", validate="one_to_one"
    )
    delay_weight = joined[labels.DELAY_WEIGHT].fillna(0.0).to_numpy(dtype=np.float64)
    is_told = delay_weight > 0
    return Looked(
        np.where(is_told, joined["y"], 0.0),
        np.where(is_told, joined["graded"], 0.0),
        is_told,
        (joined["selected_by"] == "random").to_numpy(dtype=np.bool_) & is_told,
        delay_weight,
        joined["office"].astype("string").str[:3].where(is_told).fillna(""),
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
        Inverse propensity times strictness.
    propensity : Propensity
        Over all rows given.
    strictness : tuple of Strictness
        By division and by investigator.
    """

    index: npt.NDArray[np.int64]
    weight: Floats
    propensity: Propensity
    strictness: tuple[Strictness, ...]


def weigh(X: pd.DataFrame, looked: Looked, dealer: npt.NDArray[Any], *, seed: int) -> Weighted:
    """Weigh inspected rows so that they stand for all dealers and for an average inspector.

    Visits that are still open are stood for by closed ones of the same age and outcome.
    """
    propensity = looked.propensity(X, dealer, seed=seed)
    index = np.flatnonzero(looked.is_inspected)
    y = looked.y[index]
    weight = propensity.weights(TRAINING_CLIP)[index]
    expected = _expected(X.iloc[index], y, weight)
    ratio = np.ones(len(index))
    strictness = []
    for column, groups in (("division", looked.division), ("investigator", looked.investigator)):
        found = fit_strictness(groups.iloc[index], y, expected * ratio, column=column)
        ratio = ratio * found.of(groups.iloc[index])
        strictness.append(found)
    return Weighted(index, weight * label_weights(y, ratio), propensity, tuple(strictness))


def _expected(X: pd.DataFrame, y: Floats, weight: Floats) -> Floats:
    """Probability of a severe finding from signals alone, at the average strictness."""
    model = LogLogistic(strength=0.02).fit(X, y, sample_weight=weight)
    return np.asarray(1.0 / (1.0 + np.exp(-model.log_odds(X))), dtype=np.float64)


def train(
    recipe: Recipe,
    head: Head,
    warehouse: Warehouse,
    history: CountryHistory,
    rule: SevereFinding,
    steps: Steps,
) -> HeadResult:
    """Train and judge the head of severe findings."""
    split, rows = history.split, history.rows
    made = design(history.table, head)
    then = labels.compliance(
        warehouse,
        split.train_as_of,
        rule=rule,
        known_before=split.trained_on,
        horizon_months=recipe.horizon_months,
    )
    then.require_known(split.trained_on)
    then.require_enough(n_positive=head.min_positive, what=head.name)
    with steps.step(f"{head.name}: fit before {split.trained_on}"):
        judged = fit(recipe, head, made, rows[history.is_at(split.train_as_of)], then)
    now = labels.compliance(
        warehouse, split.test_as_of, rule=rule, horizon_months=recipe.horizon_months
    )
    with steps.step(f"{head.name}: judge as of {split.test_as_of[0]}"):
        held_out, entry = _judge_compliance(recipe, head, made, history, judged, now)
        entry["hours"] = hours.per_hour(
            held_out,
            hours.visits(warehouse, held_out, horizon_months=recipe.horizon_months),
            capacity=recipe.evaluation.capacity,
            n_resamples=recipe.evaluation.n_resamples,
            seed=recipe.seed,
        )
    everything = labels.compliance(
        warehouse,
        (*split.train_as_of, *split.test_as_of),
        rule=rule,
        known_before=history.end,
        horizon_months=recipe.horizon_months,
    )
    with steps.step(f"{head.name}: fit on everything known"):
        shipped = fit(recipe, head, made, rows, everything)
    judged_on = (
        f"trained on {len(then)} inspections known before {split.trained_on}, judged on "
        f"{len(held_out)} opened in the {recipe.horizon_months} months after, weighted by inverse "
        "propensity and for inspections still open, intervals by dealer"
    )
    return HeadResult(head, now.definition, judged_on, held_out, shipped.model, made.X, entry)


@dataclass(frozen=True)
class FittedCompliance:
    """A fitted compliance head with what weighed its labels."""

    model: Any
    logistic: LogLogistic
    weighted: Weighted
    n: int


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
        ``dealer`` and ``as_of`` of every dealer, inspected or not, at the labels' as-of dates.
    is_treated : bool
        Weigh by inverse propensity and strictness, grade findings and set the level on the random
        share; False is the naive way, kept to be compared.
    """
    X = made.X.loc[rows.index]
    looked = place_labels(rows, found)
    dealer = rows["dealer"].to_numpy(dtype=str)
    weighted = weigh(X, looked, dealer, seed=recipe.seed)
    index = weighted.index
    model = estimator(head, made.monotone, seed=recipe.seed)
    treatment: dict[str, Any] = {
        "sample_weight": weighted.weight,
        "graded": looked.graded[index],
        "representative": looked.is_random[index],
        "period": rows["as_of"].to_numpy()[index],
    }
    model.fit(
        X.iloc[index], looked.y[index], groups=dealer[index], **(treatment if is_treated else {})
    )
    logistic = LogLogistic().fit(X.iloc[index], looked.y[index])
    return FittedCompliance(model, logistic, weighted, len(index))


def _judge_compliance(
    recipe: Recipe,
    head: Head,
    made: Design,
    history: CountryHistory,
    fitted: FittedCompliance,
    now: Labels,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    is_test = history.is_at(history.split.test_as_of)
    rows = history.rows[is_test]
    X, where = made.X[is_test], history.where[is_test]
    looked = place_labels(rows, now)
    dealer = rows["dealer"].to_numpy(dtype=str)
    propensity = looked.propensity(X, dealer, seed=recipe.seed)
    score = predict(fitted.model, X)
    rules = rule_columns(head.rules, X, fitted.logistic.log_odds(X), seed=recipe.seed)
    everyone = held_out_table(
        rows,
        y=looked.y,
        score=score,
        cluster=dealer,
        rules=rules,
        groups=where[["state", "rurality", "license_type", "division"]].assign(
            investigator=looked.investigator.to_numpy()
        ),
        weight=propensity.weights(),
    )
    everyone[LEVEL_WEIGHT] = _level_weight(looked, propensity)
    everyone[hours.WAIT_DAYS] = hours.wait_days(
        propensity.probability, horizon_months=recipe.horizon_months
    )
    held_out = everyone[looked.is_inspected].reset_index(drop=True)
    entry = measure(
        held_out.drop(columns="group_investigator"), recipe.evaluation, seed=recipe.seed
    )
    past = History(
        propensity, looked.y, looked.is_random, dealer, where["office"].to_numpy(dtype=str)
    )
    share = recipe.evaluation.capacity
    estimates = {
        "served": served(score, fitted.model.predict_interval(X, LEVEL), share=share),
        **every_estimate(past, score, score, share=share),
    }
    gains = three_gains(
        held_out.rename(columns=lambda c: c.removeprefix("group_")),
        share=recipe.evaluation.capacity,
        within=WITHIN,
    )
    stable = _consecutive(made, history, fitted, recipe)
    entry |= {
        "overlap": overlap(propensity, X).as_dict(),
        "yield": {name: i.as_dict() if i else None for name, i in estimates.items()},
        "gains": gains,
        "strictness": _strictness(fitted.weighted.strictness),
        "stability": stable,
        "list_overlap": stable["pairs"][-1]["overlap"] if stable["pairs"] else None,
        "sections": _sections(estimates, gains, past),
    }
    return held_out.drop(columns="group_investigator"), entry


def _level_weight(looked: Looked, propensity: Propensity) -> Floats:
    """Return the weight of each row in judging the level: the random share, if it found enough.

    With fewer findings all inspections are used, weighted by inverse propensity; what was chosen
    by hearsay then makes a right level look low.
    """
    if looked.y[looked.is_random].sum() >= MIN_RANDOM_POSITIVE:
        return looked.is_random * propensity.standing
    return propensity.weights()


def _consecutive(
    made: Design, history: CountryHistory, fitted: FittedCompliance, recipe: Recipe
) -> dict[str, Any]:
    """Compare the lists that the same model gives at dates that follow each other."""
    rows = history.rows
    scores = {
        when: pd.Series(predict(fitted.model, made.X[is_at]), rows.loc[is_at, "dealer"].to_numpy())
        for when in (*history.split.train_as_of, *history.split.test_as_of)
        for is_at in (history.is_at((when,)),)
    }
    return stability.consecutive(scores, capacity=recipe.evaluation.capacity)


def _strictness(found: tuple[Strictness, ...]) -> dict[str, dict[str, float]]:
    return {
        s.column: {
            "groups": float(len(s.ratio)),
            "lowest": float(s.ratio.min()),
            "highest": float(s.ratio.max()),
            "prior_n": s.prior_n,
        }
        for s in found
    }


def _sections(
    estimates: dict[str, Interval | None], gains: dict[str, float | None], past: History
) -> list[dict[str, Any]]:
    rows = [
        [name.replace("_", " "), str(value) if value else "cannot be said"]
        for name, value in estimates.items()
    ]
    try:
        rows.append(["all dealers, from the random share", str(national_rate(past))])
    except TooFewLabelsError:
        rows.append(["all dealers, from the random share", "cannot be said"])
    return [
        {
            "title": "What the list would find, in seven ways",
            "text": "Share of listed dealers with a severe finding. Served is what the model says "
            "itself, its level set on dealers drawn at random. The naive figure counts only "
            "dealers that somebody chose to inspect.",
            "columns": ["estimate", "rate"],
            "rows": rows,
        },
        {
            "title": "Three gains",
            "text": "Precision at capacity over a random list: in all, with each division's share "
            "fixed, and within the caseload of each investigator.",
            "columns": ["gain", "multiple of random"],
            "rows": [
                [k.replace("_", " "), "-" if v is None else f"{v:.2f}"] for k, v in gains.items()
            ],
        },
    ]
