"""Train the compliance head: models that stand before each judged year, and the shipped one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd

from features.warehouse import Warehouse
from models.policy import SevereFinding
from training.errors import OneClassError, TooFewLabelsError
from training.heads.ahead import Ahead, Begun
from training.heads.compliance import inspection_hours as hours
from training.heads.compliance.compliance import FittedCompliance, fit
from training.heads.compliance.judging import Origin, judge
from training.heads.country_history import CountryHistory
from training.heads.fit import Design, HeadResult, design, inputs_of
from training.labels import dated_labels as labels
from training.labels.dated_labels import Labels
from training.labels.splits import Split
from training.recipe import Head, Recipe


def begin(
    recipe: Recipe,
    head: Head,
    warehouse: Warehouse,
    history: CountryHistory,
    rule: SevereFinding,
    ahead: Ahead,
) -> Callable[[], HeadResult]:
    """Begin to train the head of severe findings; what is returned waits for it and judges it."""
    made = design(history.table, head)
    origins = []
    for split in history.splits:
        origin = _origin((recipe, head, made), warehouse, history, split, rule, ahead)
        if origin is not None:
            origins.append(origin)
    everything = labels.compliance(
        warehouse,
        (*history.split.train_as_of, *history.split.test_as_of),
        rule=rule,
        known_before=history.known_before,
        records_to=history.end,
        horizon_months=recipe.horizon_months,
    )
    shipped = ahead.begin(
        f"{head.name}: fit on everything known",
        lambda: fit(recipe, head, made, history.cohort, everything),
        n_bytes=made.n_bytes,
    )
    return partial(_finish, (recipe, head, made), warehouse, history, origins, shipped, ahead)


def _finish(
    asked: tuple[Recipe, Head, Design],
    warehouse: Warehouse,
    history: CountryHistory,
    begun: list[tuple[Split, Begun, Labels]],
    last_begun: Begun,
    ahead: Ahead,
) -> HeadResult:
    """Judge the head by the models that stand before each year, and return the shipped one."""
    recipe, head, made = asked
    origins = [Origin(split, ahead.take(each), now) for split, each, now in begun]
    steps = ahead.steps
    with steps.step(f"{head.name}: judge as of {', '.join(_day(o.split) for o in origins)}"):
        held_out, everyone, entry = judge(recipe, head, made, history, origins)
        entry["hours"] = hours.per_hour(
            held_out,
            hours.visits(warehouse, held_out, horizon_months=recipe.horizon_months),
            capacity=recipe.evaluation.capacity,
            n_resamples=recipe.evaluation.n_resamples,
            seed=recipe.seed,
        )
    shipped: FittedCompliance = ahead.take(last_begun)
    steps.say(f"  {shipped.level_in_words}")
    first, last = origins[0], origins[-1]
    judged_on = (
        f"trained on {first.fitted.n} to {last.fitted.n} inspections known before "
        f"{first.split.trained_on} to {last.split.trained_on}, judged on {len(held_out)} opened in "
        f"the {recipe.horizon_months} months after each, weighted by inverse propensity, for the "
        "strictness of who looked and for inspections still open, intervals by dealer"
    )
    X = inputs_of(shipped.model, made.X)
    return HeadResult(
        head,
        last.now.definition,
        judged_on,
        held_out,
        shipped.model,
        X,
        entry,
        everyone=everyone,
        place_signals=shipped.weighted.strictness.place_signals,
        judged_place_signals={
            pd.Timestamp(when): origin.fitted.weighted.strictness.place_signals
            for origin in origins
            for when in origin.split.test_as_of
        },
        learned=history.cohort.index.to_numpy()[shipped.weighted.index],
    )


def _origin(
    asked: tuple[Recipe, Head, Design],
    warehouse: Warehouse,
    history: CountryHistory,
    split: Split,
    rule: SevereFinding,
    ahead: Ahead,
) -> tuple[Split, Begun, Labels] | None:
    """Begin to fit on what was known before one year; None for an earlier one too poor to judge."""
    recipe, head, made = asked
    then = labels.compliance(
        warehouse,
        split.train_as_of,
        rule=rule,
        known_before=split.trained_on,
        horizon_months=recipe.horizon_months,
    )
    then.require_known(split.trained_on)
    now = labels.compliance(
        warehouse, split.test_as_of, rule=rule, horizon_months=recipe.horizon_months
    )
    try:
        then.require_enough(n_positive=head.min_positive, what=head.name)
        now.require_enough(n_positive=1, what=f"{head.name} as of {_day(split)}")
    except (OneClassError, TooFewLabelsError):
        if split is history.split:
            raise
        return None
    is_before = history.is_at(split.train_as_of)
    begun = ahead.begin(
        f"{head.name}: fit before {split.trained_on}",
        lambda: fit(recipe, head, made, history.cohort[is_before], then),
        n_bytes=made.n_bytes,
    )
    return split, begun, now


def _day(split: Split) -> str:
    return split.test_as_of[0].isoformat()
