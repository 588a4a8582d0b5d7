"""The diversion heads: firearms traced soon after they were sold, known for every dealer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Floats
from features.domain.asof import DAYS_A_YEAR, add_months, from_numpy
from features.openjson import Json
from features.warehouse import Warehouse
from training.errors import OneClassError, TooFewLabelsError, TrainingError
from training.evaluation.baselines import LogLogistic
from training.evaluation.head_evaluation import measure
from training.heads.ahead import Ahead, Begun
from training.heads.country_history import CountryHistory
from training.heads.fit import (
    Design,
    HeadResult,
    absent_from_rules,
    design,
    estimator,
    held_out_table,
    inputs_of,
    mean_of,
    rule_columns,
    thin,
)
from training.labels import dated_labels as labels
from training.labels.dated_labels import Labels
from training.labels.splits import Split
from training.progress import Steps
from training.recipe import Head, Recipe

if TYPE_CHECKING:
    from models import RateRegressor, RiskClassifier

Rows = npt.NDArray[np.int64]
# Models of earlier years are judged beside the last, and order dealers beside the compliance head.
EARLIER_ROWS = 6_000
# Days without a trace that end no records.
_QUIET_DAYS: Final = 45
_GAP_YEARS: Final = 3


def begin(
    recipe: Recipe, head: Head, warehouse: Warehouse, history: CountryHistory, ahead: Ahead
) -> Callable[[], HeadResult | str]:
    """Begin to train a head that counts firearms traced soon after they were sold.

    What is returned waits for it and judges it. Where traces are too few to learn from, it says
    so instead: a country whose firearms never turn up in Mexico, or whose agency began to trace
    last year, has findings to rank by all the same.
    """
    asked = recipe, head, design(history.table, head)
    try:
        begun = _begin(asked, warehouse, history, ahead)
    except (OneClassError, TooFewLabelsError) as error:
        return partial(_left_out, head, error, ahead.steps)

    def finish() -> HeadResult | str:
        try:
            return _finish(asked, history, begun, ahead)
        except (OneClassError, TooFewLabelsError) as error:
            return _left_out(head, error, ahead.steps)

    return finish


def _left_out(head: Head, error: TrainingError, steps: Steps) -> str:
    why = " ".join(part for part in (error.what, error.found) if part)
    steps.say(f"  {head.name} is left out: {why}")
    return why


@dataclass(frozen=True)
class _Begun:
    """Models under way: of each judged year with its simple rule, and the shipped one."""

    found: Labels
    counts: Floats
    years: list[tuple[Split, Begun]]
    shipped: Begun


def _begin(
    asked: tuple[Recipe, Head, Design], warehouse: Warehouse, history: CountryHistory, ahead: Ahead
) -> _Begun:
    """Begin every fit.

    Raises
    ------
    OneClassError, TooFewLabelsError
        When too few dealers have any before the last judged year, or none in it; nothing is under
        way then.
    """
    recipe, head, made = asked
    rows = history.rows
    end = traces_end(warehouse, history.end)
    splits = _told(recipe, head, history, end, ahead.steps)
    split = splits[-1]
    found = _counted(recipe, head, warehouse, rows, history.known_before, end)
    counts, judged = _placed(rows, found), found.at(split.test_as_of)
    judged.require_enough(n_positive=1, what=f"{head.name} after {split.trained_on}")
    dealer = rows["dealer"].to_numpy(dtype=str)
    taught: list[tuple[Split, Floats, Rows]] = []
    for one in splits:
        is_before = history.is_at(one.train_as_of)
        # As it was known then: what was corrected since taught nobody who stood there.
        then = _counted(recipe, head, warehouse, rows[is_before], one.trained_on)
        then.require_known(one.trained_on)
        if one is split:
            then.require_enough(
                n_positive=head.min_positive, what=f"{head.name} before {split.trained_on}"
            )
        elif then.n_positive < head.min_positive:
            continue
        taught.append((one, _placed(rows, then), np.flatnonzero(is_before)))
    years = []
    for one, learned, before in taught:
        kept = head if one is split else head.model_copy(update={"max_rows": EARLIER_ROWS})
        work = partial(_fit_with_rule, kept, made, learned, dealer, before, recipe.seed)
        years.append((one, ahead.begin(f"{head.name}: fit before {one.trained_on}", work)))
    known = np.flatnonzero(np.isfinite(counts))
    shipped = ahead.begin(
        f"{head.name}: fit on everything known",
        partial(_fit, head, made, counts, dealer, known, recipe.seed),
    )
    return _Begun(found, counts, years, shipped)


def _finish(
    asked: tuple[Recipe, Head, Design], history: CountryHistory, begun: _Begun, ahead: Ahead
) -> HeadResult:
    """Judge the head by the models that stand before each year, and return the shipped one."""
    recipe, head, made = asked
    rows, counts = history.rows, begun.counts
    dealer = rows["dealer"].to_numpy(dtype=str)
    everyone, years = [], []
    for one, under_way in begun.years:
        model, logistic = ahead.take(under_way)
        is_judged = history.is_at(one.test_as_of)
        X = made.X[is_judged]
        margin = model.predict_margin(inputs_of(model, X))
        everyone.append(rows[is_judged].assign(margin=margin))
        years.append(
            held_out_table(
                rows[is_judged],
                y=counts[is_judged],
                score=mean_of(model, margin),
                cluster=dealer[is_judged],
                rules=rule_columns(head.rules, X, logistic.log_odds(X)),
                groups=history.groups[is_judged],
            )
        )
    held_out = pd.concat(years, ignore_index=True)
    with ahead.steps.step(f"{head.name}: judge as of {', '.join(map(_day, everyone))}"):
        entry: Json = {**measure(held_out, recipe.evaluation, seed=recipe.seed)}
    entry["list_overlap"] = None
    entry["absent"] = absent_from_rules(head.rules, made.X)
    judged_on = (
        f"trained on windows ended before each of {', '.join(map(_day, everyone))}, judged on "
        "every dealer as of that day, intervals by dealer"
    )
    return HeadResult(
        head,
        begun.found.definition,
        judged_on,
        held_out,
        ahead.take(begun.shipped),
        made.X,
        entry,
        everyone=pd.concat(everyone, ignore_index=True),
    )


def traces_end(warehouse: Warehouse, until: date) -> date:
    """Return the first day that the records of traces do not reach, `until` at the latest.

    Traces come from another system than inspections, and may end earlier: a window of which only
    half is told would count half of its traces as all. Days without one at the end are no end of
    the records unless they are more than `_QUIET_DAYS`, and than any gap of `_GAP_YEARS` before.
    """
    known = _days(warehouse.read("traces", columns=["known_on"]))
    known = known[known < np.datetime64(until)]
    if not len(known):
        return until
    recent = known[known >= known[-1] - np.timedelta64(_GAP_YEARS * DAYS_A_YEAR, "D")]
    longest = np.diff(recent).max(initial=np.timedelta64(_QUIET_DAYS, "D"))
    if np.datetime64(until) - known[-1] <= longest:
        return until
    return cast("date", from_numpy(known[-1])) + timedelta(days=1)


def _days(table: pa.Table) -> npt.NDArray[np.datetime64]:
    """Return the different days of a table of one column, oldest first."""
    days = pc.unique(table.column(0)).drop_null().to_numpy(zero_copy_only=False)
    return np.sort(days.astype("datetime64[D]"))


def _told(
    recipe: Recipe, head: Head, history: CountryHistory, end: date, steps: Steps
) -> list[Split]:
    """Return the judged years that the records of traces reach to the end of."""
    if end < history.end:
        steps.say(
            f"  {head.name}: traces are known to {end - timedelta(days=1)} only, inspections to "
            f"{history.end - timedelta(days=1)}; windows that end later are left out"
        )
    splits = [
        one
        for one in history.splits
        if add_months(max(one.test_as_of), recipe.horizon_months) <= end
    ]
    if not splits:
        raise TooFewLabelsError(
            f"No window can judge {head.name}:",
            found=f"traces are known to {end - timedelta(days=1)}, and none ends before",
            fix="ingest the traces of later months",
        )
    return splits


def _counted(
    recipe: Recipe,
    head: Head,
    warehouse: Warehouse,
    rows: pd.DataFrame,
    known_before: date,
    records_to: date | None = None,
) -> Labels:
    """Count the traces of each row's window, as the records stood on a day."""
    return labels.diversion(
        warehouse,
        rows,
        country=head.country,
        known_before=known_before,
        records_to=records_to,
        horizon_months=recipe.horizon_months,
    )


def _placed(rows: pd.DataFrame, found: Labels) -> Floats:
    """Return the count of each row, NaN where its window has not ended."""
    placed = rows.merge(found.frame, on=["dealer", "as_of"], how="left", validate="one_to_one")
    return placed["y"].to_numpy(dtype=np.float64)


def _day(judged: pd.DataFrame) -> str:
    return f"{judged['as_of'].iloc[0]:%Y-%m-%d}"


def _logistic(head: Head, made: Design, counts: Floats, rows: Rows, seed: int) -> LogLogistic:
    """Fit the simple rule on the rows that the head learns from."""
    kept, weight = thin(counts[rows], max_rows=head.max_rows, seed=seed)
    index = rows[kept]
    return LogLogistic().fit(made.X.iloc[index], counts[index], sample_weight=weight)


def _fit(
    head: Head, made: Design, counts: Floats, dealer: npt.NDArray[Any], rows: Rows, seed: int
) -> RiskClassifier | RateRegressor:
    kept, weight = thin(counts[rows], max_rows=head.max_rows, seed=seed)
    index = rows[kept]
    model = estimator(head, made.monotone, seed=seed)
    model.fit(made.X.iloc[index], counts[index], sample_weight=weight, groups=dealer[index])
    return model


def _fit_with_rule(
    head: Head, made: Design, counts: Floats, dealer: npt.NDArray[Any], rows: Rows, seed: int
) -> tuple[RiskClassifier | RateRegressor, LogLogistic]:
    """Fit a head, and the simple rule that it is held against."""
    model = _fit(head, made, counts, dealer, rows, seed)
    return model, _logistic(head, made, counts, rows, seed)
