"""The two heads on real public records, judged as honestly as those records allow.

*later penalized* is cross-sectional: one listing, whole counties held out. *severity* is judged in
time: trained on inspections that had closed, judged on those assigned later.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from features.openjson import Json
from features.table import FeatureTable, build_features
from features.warehouse import Warehouse
from training.errors import RecipeError, TooFewLabelsError
from training.evaluation.baselines import LogLogistic
from training.evaluation.gates import better_than_chance
from training.evaluation.head_evaluation import ORDERED_ON, Overlap, measure, overlap_by_lot
from training.heads.fit import (
    HeadResult,
    cross_fit,
    design,
    estimator,
    families_of,
    held_out_table,
    predict,
    rule_columns,
)
from training.labels import dated_labels as labels
from training.labels.cohort import places, require_types
from training.progress import Steps
from training.recipe import Head, Recipe

# The share of penalized inspections, oldest first, that trains the severity head.
TRAIN_SHARE = 0.6


def later_penalized(
    recipe: Recipe, head: Head, warehouse: Warehouse, steps: Steps
) -> tuple[HeadResult, FeatureTable]:
    """Train and judge the head that ranks listed dealers by later penalized inspections."""
    if recipe.as_of is None:
        raise RecipeError(f"Recipe {recipe.name} needs an as_of date for {head.name}.")
    with steps.step(f"signals as of {recipe.as_of}"):
        table = build_features(warehouse, recipe.as_of, variant=recipe.variant)
    where = places(warehouse, table.frame)
    is_member = require_types(where, recipe.license_types)
    rows = table.frame.loc[is_member, ["dealer", "as_of"]].reset_index(drop=True)
    where = where[is_member].reset_index(drop=True)
    found = labels.later_penalized(warehouse, rows, recipe.as_of)
    found.require_enough(n_positive=head.min_positive, what=head.name)
    made = design(table, head)
    X, y = made.X[is_member].reset_index(drop=True), found.y
    county = where["county"].to_numpy(dtype=str)
    settings = recipe.evaluation
    with steps.bar(f"{head.name}: counties held out", settings.n_folds * settings.n_repeats) as bar:
        fitted = cross_fit(
            X,
            y,
            county,
            lambda seed: estimator(head, made.monotone, seed=seed),
            n_folds=settings.n_folds,
            n_repeats=settings.n_repeats,
            seed=recipe.seed,
            step=lambda: bar.advance(bar.task_ids[0]),
        )
    held_out = held_out_table(
        rows,
        y=y,
        score=fitted.score,
        cluster=county,
        rules=rule_columns(head.rules, X, fitted.logistic.mean(axis=0)),
        groups=where[["state", "rurality", "license_type"]],
    )
    with steps.step(f"{head.name}: fit on every county"):
        model = estimator(head, made.monotone, seed=recipe.seed)
        model.fit(X, y, groups=county)
    with steps.step(f"{head.name}: intervals"):
        entry: Json = {**measure(held_out, settings, seed=recipe.seed)}
    found_again = _overlap_of_repeats(fitted.model, settings.capacity)
    entry["list_overlap"] = None if found_again is None else found_again.value
    if found_again is not None:
        entry["list_overlap_by_lot"] = [found_again.least, found_again.most]
    judged_on = (
        f"counties held out ({settings.n_folds} folds, dealt {settings.n_repeats} times), "
        "intervals by county"
    )
    kept = np.flatnonzero(is_member)
    result = HeadResult(head, found.definition, judged_on, held_out, model, X, entry, kept)
    return result, table


def _overlap_of_repeats(scores: np.ndarray, capacity: float) -> Overlap | None:
    found = [overlap_by_lot(scores[0], other, share=capacity) for other in scores[1:]]
    if not found:
        return None
    names = ("value", "least", "most")
    return Overlap(*(float(np.mean([getattr(one, name) for one in found])) for name in names))


def severity(recipe: Recipe, head: Head, warehouse: Warehouse, steps: Steps) -> HeadResult:
    """Train on penalized inspections that had closed and judge on those assigned later."""
    found = labels.severity(warehouse)
    found.require_enough(n_positive=head.min_positive, what=head.name)
    with steps.step(f"{head.name}: signals as of each assignment"):
        cohort = found.frame[["dealer", "as_of"]]
        table = build_features(
            warehouse,
            sorted({when.date() for when in cohort["as_of"]}),
            variant=recipe.variant,
            cohort=cohort,
            families=families_of(head),
        )
    keyed = table.frame[["dealer", "as_of"]].merge(
        found.frame, on=["dealer", "as_of"], how="left", validate="one_to_one"
    )
    made = design(table, head)
    trained_on = _training_day(keyed["as_of"])
    # As it was known then: a later correction neither teaches nor makes its visit unknown.
    then = labels.severity(warehouse, known_before=trained_on).frame[["dealer", "as_of", "y"]]
    known = keyed[["dealer", "as_of"]].merge(then, how="left", validate="one_to_one")
    learned = known["y"].to_numpy(dtype=np.float64)
    is_train = np.isfinite(learned)
    is_test = (keyed["as_of"] >= pd.Timestamp(trained_on)).to_numpy()
    y = keyed["y"].to_numpy(dtype=np.float64)
    _require_both(np.where(is_train, learned, y), is_train, is_test, trained_on)
    with steps.step(f"{head.name}: fit before {trained_on}, judge after"):
        model = estimator(head, made.monotone, seed=recipe.seed)
        dealers = keyed["dealer"].to_numpy(dtype=str)
        model.fit(made.X[is_train], learned[is_train], groups=dealers[is_train])
        logistic = LogLogistic().fit(made.X[is_train], learned[is_train])
    test = keyed[is_test].reset_index(drop=True)
    X = made.X[is_test].reset_index(drop=True)
    held_out = held_out_table(
        test,
        y=y[is_test],
        score=predict(model, X),
        cluster=test["dealer"].to_numpy(dtype=str),
        rules=rule_columns(head.rules, X, logistic.log_odds(X)),
        groups=places(warehouse, test)[["rurality", "license_type"]],
    ).assign(**{ORDERED_ON: pd.Timestamp(trained_on)})
    entry: Json = {**measure(held_out, recipe.evaluation, seed=recipe.seed)}
    entry["list_overlap"] = None
    verdict = better_than_chance(head.name, held_out)
    judged_on = (
        f"trained on {int(is_train.sum())} inspections closed before {trained_on}, judged on "
        f"{int(is_test.sum())} assigned on or after it, intervals by dealer"
    )
    fitted = None
    if verdict.is_passed or (head.is_required and verdict.outcome != "refused"):
        fitted = estimator(head, made.monotone, seed=recipe.seed)
        fitted.fit(made.X, y, groups=dealers)
    return HeadResult(head, found.definition, judged_on, held_out, fitted, made.X, entry)


def _training_day(as_of: pd.Series) -> date:
    """Return the first day of the month by which `TRAIN_SHARE` of the inspections were assigned."""
    days = as_of.astype("datetime64[s]").astype("int64")
    when = pd.Timestamp(int(np.quantile(days, TRAIN_SHARE)), unit="s")
    return date(when.year, when.month, 1)


def _require_both(y: np.ndarray, is_train: np.ndarray, is_test: np.ndarray, day: date) -> None:
    for name, mask in (("closed before", is_train), ("assigned on or after", is_test)):
        if y[mask].sum() < 5 or (1 - y[mask]).sum() < 5:
            raise TooFewLabelsError(
                f"Too few inspections {name} {day} to judge severity.",
                found=f"{int(y[mask].sum())} serious of {int(mask.sum())}",
                expected="at least five of each kind",
            )


def records_complete_on(warehouse: Warehouse) -> date:
    """Return the first day on which every published inspection was known."""
    newest: date = labels.inspections(warehouse)["known_on"].max().date()
    return newest + timedelta(days=1)
