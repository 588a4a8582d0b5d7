"""Judge every order on one country against its truth, by models that know what was known then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from features.home import write_json
from features.warehouse import Warehouse
from models.order.restraint import Restraint, priorities, restrain
from models.order.set_against_alike import EXPOSURE
from models.policy import Policy
from tests.benchmarks.countries.standing import MARGIN, PLACE, kept_scores
from training.evaluation.head_evaluation import SIZES, size_of
from training.evaluation.metrics import Ranking, cluster_weights
from training.recipe import Recipe

SHARE: Final = 0.10
N_DRAWS: Final = 200
# Bins of the true risk within which dealers are alike, for what goes with strictness.
N_ALIKE: Final = 20
# Orders beside the list, as kept.
BESIDE: Final = ("naive", "logistic", "logistic, hard", "points", "traces", "taught")
BY_OFFICE: Final = "by office"
IN_FULL: Final = "in full, by count"


def judge(
    recipe: Recipe, warehouse: Warehouse, truth: pd.DataFrame, folder: Path
) -> dict[str, Any]:
    """Judge every order; what was fitted for a country once is read from its folder.

    Parameters
    ----------
    truth : DataFrame
        ``dealer``, ``p_severe``, ``may_visit`` and ``strict`` of every dealer on the last day.
    """
    everyone, counts = kept_scores(recipe, warehouse, truth, folder)
    may = everyone["may_visit"].to_numpy(dtype=bool)
    kept = everyone[may]
    scores = {name: score[may] for name, score in orders(recipe.read_policy(), everyone).items()}
    p, strict = kept["p"].to_numpy(), kept["strict"].to_numpy()
    codes, draws = cluster_weights(np.arange(len(p)).astype(str), n_resamples=N_DRAWS, seed=0)
    weights = [np.ones(len(p)), *(draw[codes] for draw in draws)]
    small = _is_small(kept)
    listed = _first(scores["list"])
    stated = [float(kept[c].iloc[listed].mean()) for c in ("probability", "lower", "upper")]
    result = {
        "n_dealers": len(p),
        "n_labels": counts.n_labels,
        "n_severe": counts.n_severe,
        "n_drawn": counts.n_drawn,
        "chance": float(p.mean()),
        "best": float(p[_first(p)].mean()),
        "rates": {name: _rates(score, p, weights) for name, score in scores.items()},
        "strictness": {name: dependence(score, p, strict) for name, score in scores.items()},
        "strictest_over_mildest": {
            name: strictest_over_mildest(scores[name], p, strict) for name in ("list", BY_OFFICE)
        },
        "stated": stated,
        "true": float(p[listed].mean()),
        "small": {
            name: float(small[_first(score)].mean())
            for name, score in {**scores, "right": p}.items()
            if name in ("list", "traces", "taught", "right")
        },
        "thirds": thirds(kept, {**scores, "right": p}),
    }
    write_json(folder / "judged.json", result)
    return result


def thirds(kept: pd.DataFrame, scores: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Tell of each third by sales what is stated, over what is true, and who lists how many of it.

    Parameters
    ----------
    kept : DataFrame
        ``p``, ``probability`` and `EXPOSURE` of the dealers that may be visited.
    scores : dict
        Orders, the true risk among them.

    Returns
    -------
    dict
        ``stated`` over true as a multiple of the whole country's, so that a level that is off is
        not told of the small alone; and the share of the first tenth by each order.
    """
    if EXPOSURE not in kept:
        return {}
    size = size_of(kept[EXPOSURE], pd.Series("today", index=kept.index))
    p, stated = (kept[name].to_numpy(dtype=np.float64) for name in ("p", "probability"))
    level = stated.mean() / p.mean()
    listed = {n: _first(scores[n]) for n in ("list", "compliance", "taught", "right")}
    return {
        third: {
            "stated": float(stated[own].mean() / p[own].mean() / level),
            **{name: float(own[rows].mean()) for name, rows in listed.items()},
        }
        for third in SIZES
        if (own := size == third).any()
    }


def orders(policy: Policy, kept: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return every order: the list as a bundle would publish it, and what stands beside it."""
    margins = {
        str(c).removeprefix(MARGIN): kept[c].to_numpy(dtype=np.float64)
        for c in kept.columns
        if str(c).startswith(MARGIN)
    }
    beside = kept[[c for c in kept.columns if c == EXPOSURE or str(c).startswith(PLACE)]]
    listed = priorities(policy, margins, beside, restrain(policy, margins, beside, capacity=SHARE))
    by_count = replace(policy, per_place={})
    return {
        "list": listed,
        IN_FULL: priorities(by_count, margins, beside, Restraint()),
        BY_OFFICE: listed - pd.Series(listed).groupby(kept["home"]).transform("mean").to_numpy(),
        "compliance": margins["compliance"],
        **{name: kept[name].to_numpy(dtype=np.float64) for name in BESIDE},
    }


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
    """Correlation of an order with strictness among dealers of the same true risk.

    Zero where no office is stricter than another.
    """
    if np.ptp(strict) < 1e-9:
        return 0.0
    alike = _alike(p)
    rank, level = pd.Series(score).rank(pct=True), pd.Series(strict)
    left = [v - v.groupby(alike).transform("mean") for v in (rank, level)]
    return float(np.corrcoef(left[0], left[1])[0, 1])


def strictest_over_mildest(score: np.ndarray, p: np.ndarray, strict: np.ndarray) -> float:
    """Share listed of the strictest quarter over that of the mildest, at the same true risk."""
    if np.ptp(strict) < 1e-9:
        return 1.0
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
