"""The diversion heads: firearms traced soon after they were sold, known for every dealer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.openjson import Json
from features.warehouse import Warehouse
from training.evaluation.baselines import LogLogistic
from training.evaluation.evaluation import measure
from training.heads.country import CountryHistory
from training.heads.fit import (
    Design,
    HeadResult,
    absent_from_rules,
    design,
    estimator,
    held_out_table,
    inputs_of,
    predict,
    rule_columns,
    thin,
)
from training.labels import labels
from training.progress import Steps
from training.recipe import Head, Recipe

if TYPE_CHECKING:
    from models import RateRegressor, RiskClassifier

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
# Models of earlier years only order dealers of their year beside the compliance head.
EARLIER_ROWS = 6_000


def train(
    recipe: Recipe, head: Head, warehouse: Warehouse, history: CountryHistory, steps: Steps
) -> HeadResult:
    """Train and judge a head that counts firearms traced soon after they were sold."""
    split, rows = history.split, history.rows
    made = design(history.table, head)
    found = labels.diversion(
        warehouse,
        rows,
        country=head.country,
        known_before=history.end,
        horizon_months=recipe.horizon_months,
    )
    y = rows.merge(found.frame, on=["dealer", "as_of"], how="left", validate="one_to_one")
    counts = y["y"].to_numpy(dtype=np.float64)
    is_train = history.is_at(split.train_as_of)
    found.at(split.train_as_of).require_known(split.trained_on)
    found.require_enough(n_positive=head.min_positive, what=head.name)
    dealer = rows["dealer"].to_numpy(dtype=str)
    everyone = []
    for one in history.splits:
        rows_before = np.flatnonzero(history.is_at(one.train_as_of))
        if (counts[rows_before] > 0).sum() < head.min_positive and one is not split:
            continue
        with steps.step(f"{head.name}: fit before {one.trained_on}"):
            asked = head if one is split else head.model_copy(update={"max_rows": EARLIER_ROWS})
            model = _fit(asked, made, counts, dealer, rows_before, recipe.seed)
        is_judged = history.is_at(one.test_as_of)
        everyone.append(
            rows[is_judged].assign(margin=model.predict_margin(inputs_of(model, made.X[is_judged])))
        )
    logistic = LogLogistic().fit(made.X[is_train], counts[is_train])
    is_test = history.is_at(split.test_as_of)
    X = made.X[is_test]
    with steps.step(f"{head.name}: judge as of {split.test_as_of[0]}"):
        held_out = held_out_table(
            rows[is_test],
            y=counts[is_test],
            score=predict(model, X),
            cluster=dealer[is_test],
            rules=rule_columns(head.rules, X, logistic.log_odds(X)),
            groups=history.where.loc[is_test, ["state", "rurality", "license_type"]],
        )
        entry: Json = {**measure(held_out, recipe.evaluation, seed=recipe.seed)}
    entry["list_overlap"] = None
    entry["absent"] = absent_from_rules(head.rules, made.X)
    is_known = np.isfinite(counts)
    with steps.step(f"{head.name}: fit on everything known"):
        shipped = _fit(head, made, counts, dealer, np.flatnonzero(is_known), recipe.seed)
    judged_on = (
        f"trained on windows ended before {split.trained_on}, judged on every dealer as of "
        f"{split.test_as_of[0]}, intervals by dealer"
    )
    return HeadResult(
        head,
        found.definition,
        judged_on,
        held_out,
        shipped,
        made.X,
        entry,
        everyone=pd.concat(everyone, ignore_index=True),
    )


def _fit(
    head: Head, made: Design, counts: Floats, dealer: npt.NDArray[Any], rows: Rows, seed: int
) -> RiskClassifier | RateRegressor:
    kept, weight = thin(counts[rows], max_rows=head.max_rows, seed=seed)
    index = rows[kept]
    model = estimator(head, made.monotone, seed=seed)
    model.fit(made.X.iloc[index], counts[index], sample_weight=weight, groups=dealer[index])
    return model
