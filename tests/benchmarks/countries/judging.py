"""Judge every order on one country against its truth, by models that know what was known then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.home import write_json
from features.signals.registry import SIGNALS
from features.table import build_features
from features.warehouse import Warehouse
from models.policy import Policy
from models.priority import EXPOSURE
from models.restraint import priorities, restrain
from training.evaluation.baselines import LogLogistic
from training.evaluation.evaluation import RULE
from training.evaluation.metrics import LEVEL, Ranking, cluster_weights
from training.heads import compliance, country
from training.heads.fit import Design, design, estimator, inputs_of, rule_columns, thin
from training.labels import labels
from training.labels.labels import Labels
from training.labels.splits import group_folds
from training.progress import Steps
from training.recipe import Head, Recipe

SHARE: Final = 0.10
N_DRAWS: Final = 200
# Bins of the true risk within which dealers are alike, for what goes with strictness.
N_ALIKE: Final = 20
RATE_ROWS: Final = 8_000


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
    )


def judge(
    recipe: Recipe, warehouse: Warehouse, truth: pd.DataFrame, folder: Path
) -> dict[str, Any]:
    """Judge every order; a country once judged is read from its folder.

    Parameters
    ----------
    truth : DataFrame
        ``dealer``, ``p_severe``, ``may_visit`` and ``strict`` of every dealer on the last day.
    """
    kept = folder / "judged.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    at = stand(recipe, warehouse)
    scores, served = _scores(recipe, at)
    true = truth.set_index("dealer").reindex(at.now["dealer"])
    keep = (true["may_visit"].fillna(False) & true["p_severe"].notna()).to_numpy(dtype=bool)
    p, strict = true["p_severe"].to_numpy()[keep], true["strict"].fillna(0.0).to_numpy()[keep]
    X = at.now.drop(columns="dealer")[keep]
    scores = {name: score[keep] for name, score in scores.items()}
    scores["taught"] = taught(X[at.made.X.columns], p, at.now["dealer"].to_numpy()[keep])
    codes, draws = cluster_weights(np.arange(len(p)).astype(str), n_resamples=N_DRAWS, seed=0)
    weights = [np.ones(len(p)), *(draw[codes] for draw in draws)]
    small = _is_small(X)
    listed = _first(scores["list"])
    probability, interval = served[0][keep], served[1][keep]
    stated = [float(probability[listed].mean()), *map(float, interval[listed].mean(axis=0))]
    result = {
        "n_dealers": len(p),
        "n_labels": len(at.found),
        "n_severe": at.found.n_positive,
        "n_drawn": int((at.found.frame["selected_by"] == "random").sum()),
        "chance": float(p.mean()),
        "best": float(p[_first(p)].mean()),
        "rates": {name: _rates(score, p, weights) for name, score in scores.items()},
        "strictness": {name: dependence(score, p, strict) for name, score in scores.items()},
        "strictest_over_mildest": strictest_over_mildest(scores["list"], p, strict),
        "stated": stated,
        "true": float(p[listed].mean()),
        "small": {
            name: float(small[_first(score)].mean())
            for name, score in {**scores, "right": p}.items()
            if name in ("list", "traces", "taught", "right")
        },
    }
    write_json(kept, result)
    return result


def _scores(recipe: Recipe, at: Stand) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
    """Score today's dealers by every order, and serve the compliance head's chances."""
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
            margins[other.name] = _rate(recipe, other, at, now)
    out = {
        "list": published(recipe.read_policy(), margins, now),
        "compliance": margins[head.name],
        "naive": naive.model.predict_margin(inputs_of(naive.model, now)),
        "logistic": rules[f"{RULE}logistic"],
        "logistic, hard": hard.log_odds(now),
        "points": rules[f"{RULE}points"],
        "traces": rules[f"{RULE}most_traces_first"],
    }
    probability = np.asarray(fitted.model.predict_proba(inputs)[:, 1], dtype=np.float64)
    return out, (probability, np.asarray(fitted.model.predict_interval(inputs, LEVEL)))


def _rate(recipe: Recipe, head: Head, at: Stand, now: pd.DataFrame) -> np.ndarray:
    found = labels.diversion(
        at.warehouse,
        at.cohort[["dealer", "as_of"]],
        country=head.country,
        known_before=at.end,
        horizon_months=recipe.horizon_months,
    )
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


def published(policy: Policy, margins: dict[str, np.ndarray], now: pd.DataFrame) -> np.ndarray:
    """Return the priority of the heads, as a bundle would."""
    sales = now.get(EXPOSURE)
    restraint = restrain(policy, margins, sales, capacity=SHARE)
    return priorities(policy, margins, sales, restraint)


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


def _rates(score: np.ndarray, p: np.ndarray, weights: list[np.ndarray]) -> list[float]:
    ranking = Ranking(score)
    return [float(ranking.captured(p, share=SHARE, weight=w) / (SHARE * w.sum())) for w in weights]


def _first(score: np.ndarray) -> np.ndarray:
    """Rows of the first tenth, ties by chance."""
    order = np.lexsort((np.random.default_rng(0).random(len(score)), -score))
    return np.asarray(order[: round(SHARE * len(score))])


def _alike(p: np.ndarray) -> pd.Series:
    return pd.qcut(pd.Series(p).rank(method="first"), N_ALIKE, labels=False)


def dependence(score: np.ndarray, p: np.ndarray, strict: np.ndarray) -> float:
    """Correlation of an order with strictness among dealers of the same true risk."""
    alike = _alike(p)
    rank, level = pd.Series(score).rank(pct=True), pd.Series(strict)
    left = [v - v.groupby(alike).transform("mean") for v in (rank, level)]
    return float(np.corrcoef(left[0], left[1])[0, 1])


def strictest_over_mildest(score: np.ndarray, p: np.ndarray, strict: np.ndarray) -> float:
    """Share listed of the strictest quarter over that of the mildest, at the same true risk."""
    on = np.zeros(len(p))
    on[_first(score)] = 1.0
    place = pd.Series(strict).rank(pct=True).to_numpy()
    frame = pd.DataFrame({"on": on, "alike": _alike(p)})
    high = frame[place > 0.75].groupby("alike")["on"].mean()
    low = frame[place <= 0.25].groupby("alike")["on"].mean()
    both = high.index.intersection(low.index)
    return float(high[both].sum() / max(low[both].sum(), 1e-9))


def _is_small(X: pd.DataFrame) -> np.ndarray:
    if EXPOSURE not in X:
        return np.zeros(len(X), dtype=bool)
    return (X[EXPOSURE].fillna(0.0).rank(method="first", pct=True) <= 2 / 3).to_numpy()
