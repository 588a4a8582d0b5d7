"""Backtest: the model as shipped beside the model trained naively and every simple rule.

Each test date is judged by a model that stands at that date. Without truth the yield of each list
is estimated from inspections, in every way of `training.heads.compliance.yield_estimates`, beside
what each order finds per investigator-hour and how far consecutive lists agree. On a simulated
country the truth may be named: then each list has its true yield, as a share of the best possible
list and of what the shipped signals could learn from unlimited unbiased labels; each estimate has
its error.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.home import write_json
from features.warehouse import Warehouse
from models.policy import SevereFinding
from training.errors import NotTrainedError
from training.evaluation.baselines import RANDOM
from training.evaluation.head_evaluation import RULE, measure
from training.evaluation.metrics import Ranking, require_two_classes
from training.heads import country_history as country
from training.heads.compliance import compliance
from training.heads.compliance import inspection_hours as hours
from training.heads.compliance.judging import (
    INSPECTED,
    JudgedYear,
    Origin,
    consecutive,
    judged_year,
    with_level,
)
from training.heads.country_history import CountryHistory
from training.heads.fit import Design, design, predict, thin
from training.labels import dated_labels as labels
from training.labels.dated_labels import Labels
from training.labels.splits import Split, rolling
from training.progress import Steps
from training.recipe import Head, Recipe
from training.registry.bundling import source_commit
from training.studies.documents import (
    BacktestDocument,
    CurvePoint,
    InspectedRecord,
    JudgedDate,
    TruthFigures,
)
from training.studies.learning_curve import learning_curve

SHIPPED, NAIVE, LEARNABLE = "shipped", "naive", "learnable"
LEARNABLE_ROWS = 80_000


def backtest(
    recipe: Recipe,
    warehouse: Warehouse,
    steps: Steps,
    *,
    truth: Path | None = None,
    n_dates: int | None = None,
    kept: Path | None = None,
    budget_s: float = math.inf,
    with_curve: bool = False,
) -> BacktestDocument:
    """Judge the compliance head at each of the last as-of dates.

    Parameters
    ----------
    truth : Path, optional
        The ``truth`` folder of a simulated country; nothing else ever reads it.
    n_dates : int, optional
        How many dates are judged; what the recipe says by default.
    kept : Path, optional
        Folder that keeps each judged date: an interrupted backtest of the same recipe on the same
        data goes on where it stopped.
    budget_s : float
        No further date is begun after this many seconds; at least one is judged.
    with_curve : bool
        Fit on parts of the labels as well (`training.studies.learning_curve`).

    Returns
    -------
    dict
        ``dates``: for each test date the figures of every scoring; ``left_out``: dates that the
        budget left for the next run.
    """
    start = time.monotonic()
    head = recipe.head_of_label("compliance")
    known = None if truth is None else read_truth(truth)
    history = country.assemble(recipe, warehouse, steps)
    dates = sorted({*history.split.train_as_of, *history.split.test_as_of})
    splits = rolling(
        dates,
        horizon_months=recipe.horizon_months,
        n_tests=n_dates or recipe.evaluation.n_tests,
    )
    place = None if kept is None else kept / _key(recipe, warehouse, truth, with_curve)
    rule = recipe.read_policy().severe_finding
    task = _Task(recipe, head, warehouse, rule, known, with_curve=with_curve)
    found: list[JudgedDate] = []
    left_out: list[str] = []
    for split in reversed(splits):
        when = split.test_as_of[0].isoformat()
        path = None if place is None else place / f"{when}.json"
        if path is not None and path.is_file():
            steps.say(f"as of {when}: judged before")
            found.append(json.loads(path.read_text(encoding="utf-8")))
            continue
        if found and time.monotonic() - start > budget_s:
            left_out.append(when)
            continue
        with steps.step(f"as of {when}"):
            entry = _judge(task, replace(history, split=split))
        if path is not None:
            write_json(path, entry)
        found.append(entry)
    return {
        "recipe": recipe.name,
        "data_fingerprint": warehouse.fingerprint,
        "capacity": recipe.evaluation.capacity,
        "dates": sorted(found, key=lambda entry: str(entry["as_of"])),
        "left_out": sorted(left_out),
    }


@dataclass(frozen=True)
class _Task:
    """What is judged at every date."""

    recipe: Recipe
    head: Head
    warehouse: Warehouse
    rule: SevereFinding
    truth: pd.DataFrame | None
    with_curve: bool


def _key(recipe: Recipe, warehouse: Warehouse, truth: Path | None, with_curve: bool) -> str:
    """Name what a judged date rests on: recipe, data, code, and whether the truth was at hand."""
    parts = (
        recipe.model_dump_json() + recipe.read_policy().text,
        warehouse.fingerprint,
        source_commit(),
        f"{truth}{with_curve}",
    )
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return f"{recipe.name}-{digest}"


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


def _judge(task: _Task, history: CountryHistory) -> JudgedDate:
    """Train as of one date, and judge every scoring at it."""
    recipe, head, split = task.recipe, task.head, history.split
    made = design(history.table, head)
    is_train, is_test = history.is_at(split.train_as_of), history.is_at(split.test_as_of)
    rows = history.rows
    then = labels.compliance(
        task.warehouse,
        split.train_as_of,
        rule=task.rule,
        known_before=split.trained_on,
        horizon_months=recipe.horizon_months,
    )
    then.require_known(split.trained_on)
    then.require_enough(n_positive=head.min_positive, what=head.name)
    shipped = compliance.fit(recipe, head, made, history.cohort[is_train], then)
    naive = compliance.fit(recipe, head, made, history.cohort[is_train], then, is_treated=False)
    now = labels.compliance(
        task.warehouse, split.test_as_of, rule=task.rule, horizon_months=recipe.horizon_months
    )
    origin = Origin(split, shipped, now)
    year = judged_year(recipe, head, made, history, origin)
    scores = {
        SHIPPED: year.score,
        NAIVE: predict(naive.model, year.X),
        **{
            name: year.everyone[name].to_numpy(dtype=np.float64)
            for name in year.everyone.columns
            if name.startswith(RULE)
        },
    }
    share = recipe.evaluation.capacity
    looked = _on_inspected(task, year, scores[NAIVE])
    out: JudgedDate = {
        "as_of": split.test_as_of[0].isoformat(),
        "n_labels": len(then),
        "n_positive": then.n_positive,
        "n_dealers": int(is_test.sum()),
        "stability": consecutive(made, history, origin, capacity=share),
        "figures": looked["figures"],
        "hours": looked["hours"],
        "estimates": looked["estimates"],
    }
    if task.with_curve:
        out["learning_curve"] = _curve(task, history, made, then, year)
    if task.truth is not None:
        true = _true_rate(rows[is_test], task.truth)
        scores[LEARNABLE] = _learnable(task, made, rows, split, is_train, year.X)
        out["truth"] = against_truth(scores, true, share=share)
    return out


def _on_inspected(task: _Task, year: JudgedYear, naive: Floats) -> InspectedRecord:
    """Judge by inspections that took place after the date: figures, yields an hour, estimates.

    As a training judges its years: at the strictness of the average inspector, with what is served
    stated only where visits of known probability can tell it.
    """
    recipe = task.recipe
    everyone = with_level(year.everyone.assign(**{RULE + NAIVE: naive}))
    held_out = everyone[everyone[INSPECTED]].reset_index(drop=True)
    when = everyone["as_of"].iloc[0].date()
    require_two_classes(held_out["y"].to_numpy(), what=f"inspections after {when}")
    settings = recipe.evaluation
    entry = measure(held_out, settings, seed=recipe.seed)
    del entry["groups"]
    return {
        "figures": entry,
        "hours": hours.per_hour(
            held_out,
            hours.visits(task.warehouse, held_out, horizon_months=recipe.horizon_months),
            capacity=settings.capacity,
            n_resamples=settings.n_resamples,
            seed=recipe.seed,
        ),
        "estimates": {
            name: value.as_dict() if value else None
            for name, value in year.estimates(settings.capacity).items()
        },
    }


def _curve(
    task: _Task, history: CountryHistory, made: Design, then: Labels, year: JudgedYear
) -> list[CurvePoint]:
    """Judge fits on parts of the labels by the inspections that followed."""
    recipe, split = task.recipe, history.split
    is_train = history.is_at(split.train_as_of)
    seen = year.everyone[INSPECTED].to_numpy(dtype=np.bool_)
    X = year.X[seen]

    def fit(part: Labels) -> tuple[Floats, Floats]:
        fitted = compliance.fit(recipe, task.head, made, history.cohort[is_train], part)
        return predict(fitted.model, X), fitted.logistic.log_odds(X)

    judged = year.everyone.loc[seen, ["y", "weight", "cluster"]].reset_index(drop=True)
    return learning_curve(then, fit, judged, min_positive=task.head.min_positive, seed=recipe.seed)


def _true_rate(rows: pd.DataFrame, truth: pd.DataFrame) -> Floats:
    """Probability of a severe finding of each row; zero for a dealer that had gone."""
    joined = rows.merge(
        truth[["dealer", "as_of", "p_severe"]], on=["dealer", "as_of"], how="left",
        validate="one_to_one",
    )  # fmt: skip
    return joined["p_severe"].fillna(0.0).to_numpy(dtype=np.float64)


def _learnable(
    task: _Task,
    made: Design,
    rows: pd.DataFrame,
    split: Split,
    is_train: npt.NDArray[np.bool_],
    X: pd.DataFrame,
) -> Floats:
    """Score by the same signals taught the truth of every dealer before the test date."""
    from models import RateRegressor

    if task.truth is None:
        raise NotTrainedError("The learnable bound needs the truth.")
    seed = task.recipe.seed
    known = _true_rate(rows[is_train], task.truth)
    index, weight = thin(np.ones(len(known)), max_rows=LEARNABLE_ROWS, seed=seed)
    dealer = rows.loc[is_train, "dealer"].to_numpy(dtype=str)
    model = RateRegressor(monotone=made.monotone, n_repeats=1, n_folds=3, random_state=seed)
    model.fit(
        made.X[is_train].iloc[index], known[index], sample_weight=weight, groups=dealer[index]
    )
    return predict(model, X)


def against_truth(
    scores: Mapping[str, Floats], true: Floats, *, share: float
) -> dict[str, TruthFigures]:
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
