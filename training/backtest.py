"""Backtest: the model as shipped beside the model trained naively and every simple rule.

Each test date is judged by a model that stands at that date. Without truth the yield of each list
is estimated from inspections, in every way of `training.yields`. On a simulated country the truth
may be named: then each list has its true yield, as a share of the best possible list and of what
the shipped signals could learn from unlimited unbiased labels, and each estimate has its error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.warehouse import Warehouse
from models.policy import Policy, SevereFinding
from training import compliance, country, labels
from training.baselines import RANDOM
from training.country import CountryHistory
from training.errors import NotTrainedError
from training.evaluation import RULE
from training.fit import Design, design, predict, rule_columns, thin
from training.metrics import Ranking
from training.progress import Steps
from training.propensity import fit_propensity
from training.recipe import Head, Recipe
from training.splits import Split, rolling
from training.yields import History, every_estimate

Floats = npt.NDArray[np.float64]
SHIPPED, NAIVE, LEARNABLE = "shipped", "naive", "learnable"
LEARNABLE_ROWS = 40_000


def backtest(
    recipe: Recipe, warehouse: Warehouse, steps: Steps, *, truth: Path | None = None
) -> dict[str, Any]:
    """Judge the compliance head at each of the last as-of dates.

    Parameters
    ----------
    truth : Path, optional
        The ``truth`` folder of a simulated country; nothing else ever reads it.

    Returns
    -------
    dict
        ``dates``: for each test date the figures of every scoring.
    """
    head = next(h for h in recipe.heads if h.label == "compliance")
    history = country.assemble(recipe, warehouse, steps)
    known = None if truth is None else read_truth(truth)
    rule = Policy.read().severe_finding
    dates = sorted({*history.split.train_as_of, *history.split.test_as_of})
    found = []
    for split in rolling(
        dates, horizon_months=recipe.horizon_months, n_tests=recipe.evaluation.n_tests
    ):
        with steps.step(f"as of {split.test_as_of[0]}"):
            found.append(
                _judge(recipe, head, warehouse, replace(history, split=split), rule, known)
            )
    return {"recipe": recipe.name, "capacity": recipe.evaluation.capacity, "dates": found}


def read_truth(folder: Path) -> pd.DataFrame:
    """Read the truth of a simulated country, by dealer and as-of date.

    Raises
    ------
    NotTrainedError
        When the folder holds no truth.
    """
    path = folder / "dealer_month.parquet"
    if not path.is_file():
        raise NotTrainedError(
            f"No truth in {folder}.",
            expected="dealer_month.parquet, written by `ffl-risk simulate`",
        )
    frame = pd.read_parquet(path)
    frame["as_of"] = pd.to_datetime(frame["as_of"]).astype("datetime64[s]")
    return frame


def _judge(
    recipe: Recipe,
    head: Head,
    warehouse: Warehouse,
    history: CountryHistory,
    rule: SevereFinding,
    truth: pd.DataFrame | None,
) -> dict[str, Any]:
    split, made = history.split, design(history.table, head)
    is_train, is_test = history.is_at(split.train_as_of), history.is_at(split.test_as_of)
    rows = history.rows
    then = labels.compliance(warehouse, split.train_as_of, rule=rule, known_before=split.trained_on)
    then.require_known(split.trained_on)
    then.require_enough(n_positive=head.min_positive, what=head.name)
    shipped = compliance.fit(recipe, head, made, rows[is_train], then)
    naive = compliance.fit(recipe, head, made, rows[is_train], then, is_treated=False)
    X = made.X[is_test]
    scores = {
        SHIPPED: predict(shipped.model, X),
        NAIVE: predict(naive.model, X),
        **rule_columns(head.rules, X, shipped.logistic.log_odds(X), seed=recipe.seed),
    }
    share = recipe.evaluation.capacity
    out: dict[str, Any] = {
        "as_of": split.test_as_of[0].isoformat(),
        "n_labels": len(then),
        "n_positive": then.n_positive,
        "estimates": _estimates(recipe, warehouse, history, rule, X, scores[SHIPPED]),
    }
    if truth is not None:
        true = _true_rate(rows[is_test], truth)
        scores[LEARNABLE] = _learnable(recipe, head, made, rows, truth, split, is_train, X)
        out["truth"] = against_truth(scores, true, share=share)
        out["n_dealers"] = len(true)
    return out


def _estimates(
    recipe: Recipe,
    warehouse: Warehouse,
    history: CountryHistory,
    rule: SevereFinding,
    X: pd.DataFrame,
    score: Floats,
) -> dict[str, Any]:
    is_test = history.is_at(history.split.test_as_of)
    rows = history.rows[is_test]
    now = labels.compliance(warehouse, history.split.test_as_of, rule=rule)
    looked = compliance.place_labels(rows, now)
    dealer = rows["dealer"].to_numpy(dtype=str)
    propensity = fit_propensity(X, looked.is_inspected, dealer, seed=recipe.seed)
    office = history.where.loc[is_test, "office"].to_numpy(dtype=str)
    past = History(propensity, looked.y, looked.is_random, dealer, office)
    found = every_estimate(past, score, score, share=recipe.evaluation.capacity)
    return {name: value.as_dict() if value else None for name, value in found.items()}


def _true_rate(rows: pd.DataFrame, truth: pd.DataFrame) -> Floats:
    """Probability of a severe finding of each row; zero for a dealer that had gone."""
    joined = rows.merge(
        truth[["dealer", "as_of", "p_severe"]], on=["dealer", "as_of"], how="left",
        validate="one_to_one",
    )  # fmt: skip
    return joined["p_severe"].fillna(0.0).to_numpy(dtype=np.float64)


def _learnable(
    recipe: Recipe,
    head: Head,
    made: Design,
    rows: pd.DataFrame,
    truth: pd.DataFrame,
    split: Split,
    is_train: npt.NDArray[np.bool_],
    X: pd.DataFrame,
) -> Floats:
    """Score by the same signals taught the truth of every dealer before the test date."""
    from models import RateRegressor

    known = _true_rate(rows[is_train], truth)
    index, weight = thin(np.ones(len(known)), max_rows=LEARNABLE_ROWS, seed=recipe.seed)
    dealer = rows.loc[is_train, "dealer"].to_numpy(dtype=str)
    model = RateRegressor(monotone=made.monotone, n_repeats=1, n_folds=3, random_state=recipe.seed)
    model.fit(
        made.X[is_train].iloc[index], known[index], sample_weight=weight, groups=dealer[index]
    )
    return predict(model, X)


def against_truth(
    scores: Mapping[str, Floats], true: Floats, *, share: float
) -> dict[str, dict[str, float]]:
    """State the true yield of each list: rate, share of the best and of the learnable, multiple.

    Parameters
    ----------
    scores : mapping of str to array of shape (n,)
        Scorings; ``learnable`` among them if it is to be a yardstick.
    true : array of shape (n,)
        Probability that an inspection would end in a severe finding.

    Examples
    --------
    >>> found = against_truth({"a": np.array([0.0, 1.0])}, np.array([0.2, 0.4]), share=0.5)
    >>> found["a"]["share_of_best"]
    1.0
    """
    capacity = share * len(true)
    best = Ranking(true).captured(true, share=share)
    captured = {name: Ranking(score).captured(true, share=share) for name, score in scores.items()}
    learnable = captured.get(LEARNABLE, best)
    chance = share * float(true.sum())
    return {
        name.removeprefix(RULE): {
            "rate": value / capacity,
            "share_of_best": value / best,
            "share_of_learnable": value / learnable,
            "multiple_of_random": value / chance,
            "recall": value / float(true.sum()),
        }
        for name, value in captured.items()
        if name != RULE + RANDOM
    }


def nearer_the_truth(entry: Mapping[str, Any]) -> dict[str, float]:
    """Distance of each estimate of the shipped list's yield from its true yield, relative to it."""
    true = float(entry["truth"][SHIPPED]["rate"])
    return {
        name: abs(float(value["value"]) - true) / true
        for name, value in entry["estimates"].items()
        if value is not None and np.isfinite(value["value"])
    }


def backtest_view(found: Mapping[str, Any]) -> Any:
    """Return the backtest as tables for the terminal."""
    from rich.console import Group
    from rich.table import Table

    parts: list[Any] = []
    for entry in found["dates"]:
        grid = Table(title=f"As of {entry['as_of']}: {entry['n_labels']} labels")
        if "truth" in entry:
            for name in ("scoring", "rate", "of best", "of learnable", "x random"):
                grid.add_column(name)
            for name, f in entry["truth"].items():
                grid.add_row(
                    name.replace("_", " "),
                    f"{f['rate']:.3f}",
                    f"{f['share_of_best']:.0%}",
                    f"{f['share_of_learnable']:.0%}",
                    f"{f['multiple_of_random']:.1f}",
                )
            parts.append(grid)
        estimates = Table(title="What the shipped list would find, estimated")
        for name in ("estimate", "rate", "from", "to"):
            estimates.add_column(name)
        for name, value in entry["estimates"].items():
            cells = (
                ["-"] * 3
                if value is None
                else [f"{value[k]:.3f}" for k in ("value", "low", "high")]
            )
            estimates.add_row(name.replace("_", " "), *cells)
        parts.append(estimates)
    return Group(*parts)
