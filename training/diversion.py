"""The diversion heads: firearms traced soon after they were sold, known for every dealer."""

from __future__ import annotations

import numpy as np

from features.warehouse import Warehouse
from training import labels
from training.baselines import LogLogistic
from training.country import CountryHistory
from training.evaluation import measure
from training.fit import HeadResult, design, estimator, held_out_table, predict, rule_columns
from training.progress import Steps
from training.recipe import Head, Recipe


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
    with steps.step(f"{head.name}: fit before {split.trained_on}"):
        model = estimator(head, made.monotone, seed=recipe.seed)
        model.fit(made.X[is_train], counts[is_train], groups=dealer[is_train])
        logistic = LogLogistic().fit(made.X[is_train], counts[is_train])
    is_test = history.is_at(split.test_as_of)
    X = made.X[is_test]
    with steps.step(f"{head.name}: judge as of {split.test_as_of[0]}"):
        held_out = held_out_table(
            rows[is_test],
            y=counts[is_test],
            score=predict(model, X),
            cluster=dealer[is_test],
            rules=rule_columns(head.rules, X, logistic.log_odds(X), seed=recipe.seed),
            groups=history.where.loc[is_test, ["state", "rurality", "license_type"]],
        )
        entry = measure(held_out, recipe.evaluation, seed=recipe.seed)
    entry["list_overlap"] = None
    is_known = np.isfinite(counts)
    with steps.step(f"{head.name}: fit on everything known"):
        shipped = estimator(head, made.monotone, seed=recipe.seed)
        shipped.fit(made.X[is_known], counts[is_known], groups=dealer[is_known])
    judged_on = (
        f"trained on windows ended before {split.trained_on}, judged on every dealer as of "
        f"{split.test_as_of[0]}, intervals by dealer"
    )
    return HeadResult(head, found.definition, judged_on, held_out, shipped, made.X, entry)
