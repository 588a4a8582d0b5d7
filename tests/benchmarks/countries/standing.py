"""Fit every order of one country on what was known before its last day, and keep what it says.

What is kept are the margins of the heads, not the priority: a list of another policy is judged
without fitting anything again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.home import write_atomically, write_json
from features.signals.registry import SIGNALS
from features.table import build_features
from features.warehouse import Warehouse
from models.order.set_against_alike import EXPOSURE, set_against
from training.evaluation.baselines import LogLogistic
from training.evaluation.head_evaluation import RULE
from training.evaluation.metrics import LEVEL
from training.heads import country_history as country
from training.heads.compliance import compliance
from training.heads.fit import Design, design, estimator, inputs_of, rule_columns, thin
from training.labels import dated_labels as labels
from training.labels.cohort import places
from training.labels.dated_labels import Labels
from training.labels.splits import group_folds
from training.labels.strictness import who_looked
from training.progress import Steps
from training.recipe import Head, Recipe

RATE_ROWS: Final = 8_000
# Columns of the margins of heads in what is kept.
MARGIN: Final = "margin_"
# Columns of the signals that stand for the place.
PLACE: Final = "place_"


@dataclass(frozen=True)
class Counts:
    """Labels that a country had."""

    n_labels: int
    n_severe: int
    n_drawn: int


@dataclass(frozen=True)
class Stand:
    """A country on its last day: what was known before, and what is asked now."""

    made: Design
    cohort: pd.DataFrame
    found: Labels
    now: pd.DataFrame
    warehouse: Warehouse
    end: date
    dealer: np.ndarray
    home: np.ndarray


def stand(recipe: Recipe, warehouse: Warehouse) -> Stand:
    """Build the signals of a country up to the last day it knows, and of that day."""
    history = country.assemble(recipe, warehouse, Steps())
    dates = (*history.split.train_as_of, *history.split.test_as_of)
    found = labels.compliance(
        warehouse,
        dates,
        rule=recipe.read_policy().severe_finding,
        known_before=history.end,
        horizon_months=recipe.horizon_months,
    )
    now = build_features(warehouse, [history.end], variant=recipe.variant)
    made = design(history.table, recipe.head_of_label("compliance"))
    return Stand(
        made,
        history.cohort,
        found,
        pd.concat([now.X, now.frame["dealer"].astype(str)], axis=1),
        warehouse,
        history.end,
        history.rows["dealer"].to_numpy(dtype=str),
        _homes(
            history.cohort,
            found,
            places(warehouse, now.frame).assign(as_of=now.frame["as_of"].to_numpy()),
        ),
    )


def _homes(cohort: pd.DataFrame, found: Labels, where: pd.DataFrame) -> np.ndarray:
    """Office of each of today's dealers: who inspected most where it is."""
    looked = compliance.place_labels(cohort, found)
    nobody = pd.Series([""] * len(where))
    rows = pd.concat([cohort.reset_index(drop=True), where], ignore_index=True)
    who = who_looked(
        pd.concat([looked.office, nobody], ignore_index=True),
        pd.concat([looked.investigator, nobody], ignore_index=True),
        rows,
        rows["as_of"],
    )
    return who.home.to_numpy(dtype=str)[len(cohort) :]


def kept_scores(
    recipe: Recipe, warehouse: Warehouse, truth: pd.DataFrame, folder: Path
) -> tuple[pd.DataFrame, Counts]:
    """Return every order of today's dealers, fitted once and kept.

    Parameters
    ----------
    truth : DataFrame
        ``dealer``, ``p_severe``, ``may_visit`` and ``strict`` of every dealer on the last day.

    Returns
    -------
    DataFrame
        A row for each dealer: ``p``, ``strict``, ``may_visit``, ``home``, ``probability`` with
        ``lower`` and ``upper``, the margin of each head, what heads are set against (`EXPOSURE`,
        signals of place), and the orders beside the list.
    Counts
    """
    kept, counted = folder / "scores.parquet", folder / "labels.json"
    if kept.exists() and counted.exists():
        counts = Counts(**json.loads(counted.read_text(encoding="utf-8")))
        return pd.read_parquet(kept), counts
    at = stand(recipe, warehouse)
    scores = _scores(recipe, at)
    true = truth.set_index("dealer").reindex(at.now["dealer"])
    scores["p"] = true["p_severe"].to_numpy(dtype=np.float64)
    scores["strict"] = true["strict"].fillna(0.0).to_numpy(dtype=np.float64)
    keep = true["may_visit"].fillna(False).to_numpy(dtype=bool) & scores["p"].notna().to_numpy()
    X, p = at.now[keep], scores["p"].to_numpy()[keep]
    scores["may_visit"], scores["taught"] = keep, np.nan
    scores.loc[keep, "taught"] = taught(X[list(at.made.X.columns)], p, X["dealer"].to_numpy())
    drawn = int((at.found.frame["selected_by"] == "random").sum())
    counts = Counts(len(at.found), at.found.n_positive, drawn)
    write_atomically(kept, scores.to_parquet())
    write_json(counted, asdict(counts))
    return scores, counts


def _scores(recipe: Recipe, at: Stand) -> pd.DataFrame:
    """Score today's dealers by every head and rule, and serve the compliance head's chances."""
    head = recipe.head_of_label("compliance")
    now = at.now[list(at.made.X.columns)]
    fitted = compliance.fit(recipe, head, at.made, at.cohort, at.found)
    naive = compliance.fit(recipe, head, at.made, at.cohort, at.found, is_treated=False)
    looked = compliance.place_labels(at.cohort, at.found)
    seen = np.flatnonzero(looked.is_inspected)
    hard = LogLogistic(strength=0.003).fit(at.made.X.iloc[seen], looked.y[seen])
    rules = rule_columns(head.rules, now, fitted.logistic.log_odds(now))
    inputs = inputs_of(fitted.model, now)
    margins = {head.name: fitted.model.predict_margin(inputs)}
    for other in recipe.heads:
        if other.label == "diversion" and at.warehouse.has("traces"):
            rate = _rate(recipe, other, at, now)
            margins |= {} if rate is None else {other.name: rate}
    interval = np.asarray(fitted.model.predict_interval(inputs, LEVEL))
    out: dict[str, Any] = {
        "dealer": at.now["dealer"].to_numpy(dtype=str),
        "home": at.home,
        "probability": fitted.model.predict_proba(inputs)[:, 1],
        "lower": interval[:, 0],
        "upper": interval[:, 1],
        **{f"{MARGIN}{name}": margin for name, margin in margins.items()},
        "naive": naive.model.predict_margin(inputs_of(naive.model, now)),
        "logistic": rules[f"{RULE}logistic"],
        "logistic, hard": hard.log_odds(now),
        "points": rules[f"{RULE}points"],
        "traces": rules[f"{RULE}most_traces_first"],
    }
    told = set_against(now, fitted.weighted.strictness.place_signals)
    for name in told.columns:
        label = EXPOSURE if name == EXPOSURE else f"{PLACE}{name}"
        out[label] = told[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(out)


def _rate(recipe: Recipe, head: Head, at: Stand, now: pd.DataFrame) -> np.ndarray | None:
    """Score today's dealers by a head that counts traces; None where they are too few."""
    found = labels.diversion(
        at.warehouse,
        at.cohort[["dealer", "as_of"]],
        country=head.country,
        known_before=at.end,
        horizon_months=recipe.horizon_months,
    )
    if found.n_positive < head.min_positive:
        return None
    y = at.cohort[["dealer", "as_of"]].merge(found.frame, on=["dealer", "as_of"], how="left")["y"]
    known = np.flatnonzero(np.isfinite(y.to_numpy(dtype=np.float64)))
    counts = y.to_numpy(dtype=np.float64)[known]
    rows, weight = thin(counts, max_rows=RATE_ROWS, seed=recipe.seed)
    model = estimator(head, at.made.monotone, seed=recipe.seed)
    model.fit(
        at.made.X.iloc[known[rows]],
        counts[rows],
        sample_weight=weight,
        groups=at.dealer[known[rows]],
    )
    return np.asarray(model.predict_margin(inputs_of(model, now)), dtype=np.float64)


def taught(X: pd.DataFrame, p: np.ndarray, dealer: np.ndarray) -> np.ndarray:
    """Order by the same signals taught the truth, each dealer by models that never saw it."""
    names = {signal.name for signal in SIGNALS}
    values = X[[c for c in X.columns if c in names]].to_numpy(dtype=np.float64)
    target, out = np.log(p / (1 - p)), np.zeros(len(p))
    folds = group_folds(dealer.astype(str), n_folds=5, seed=0)
    for fold in range(5):
        is_out = folds == fold
        model = lgb.LGBMRegressor(
            n_estimators=300, learning_rate=0.03, num_leaves=15, min_child_samples=30,
            colsample_bytree=0.5, verbose=-1, n_jobs=1, random_state=0,
        )  # fmt: skip
        model.fit(values[~is_out], target[~is_out])
        out[is_out] = model.predict(values[is_out])
    return out
