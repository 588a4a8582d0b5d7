"""Splits leak nothing."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.domain.asof import add_months, month_ends
from training.errors import SplitOverlapError, TooFewLabelsError
from training.labels.splits import Split, group_folds, known_before, require_disjoint, rolling


def test_a_county_is_never_in_two_folds():
    rng = np.random.default_rng(0)
    counties = rng.choice([f"{i:05d}" for i in range(40)], 500)
    folds = group_folds(counties, n_folds=5, seed=3)
    assert set(folds) == set(range(5))
    for fold in range(5):
        require_disjoint(counties[folds == fold], counties[folds != fold], what="counties")


def test_folds_do_not_depend_on_the_order_of_rows():
    counties = np.array([f"{i % 17:05d}" for i in range(100)])
    order = np.random.default_rng(1).permutation(100)
    folds = group_folds(counties, n_folds=4, seed=0)
    assert (group_folds(counties[order], n_folds=4, seed=0) == folds[order]).all()


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(TooFewLabelsError, match="3 folds"):
        group_folds(["a", "b"], n_folds=3, seed=0)


def test_groups_on_both_sides_are_named():
    with pytest.raises(SplitOverlapError, match="37183"):
        require_disjoint(["37183", "37063"], ["37183"], what="counties")


def test_every_rolling_split_leaves_a_whole_horizon():
    dates = month_ends(date(2020, 1, 1), date(2024, 1, 1))
    for split in rolling(dates, horizon_months=12, n_tests=6):
        (test,) = split.test_as_of
        assert all(add_months(d, 12) <= test for d in split.train_as_of)
        assert split.trained_on == test


def test_a_split_that_overlaps_raises():
    with pytest.raises(SplitOverlapError, match="2023-02-01"):
        Split(date(2024, 1, 1), (date(2023, 1, 1), date(2023, 2, 1)), (date(2024, 1, 1),), 12)


def test_a_test_date_before_the_training_day_raises():
    with pytest.raises(SplitOverlapError, match="before the training day"):
        Split(date(2024, 1, 1), (date(2022, 1, 1),), (date(2023, 12, 1),), 12)


def test_too_short_a_history_is_refused():
    with pytest.raises(TooFewLabelsError, match="horizon"):
        rolling([date(2024, 1, 1), date(2024, 6, 1)], horizon_months=12, n_tests=1)


def test_a_label_known_on_the_training_day_is_too_late():
    days = pd.Series(pd.to_datetime(["2023-12-31", "2024-01-01"]))
    assert known_before(days, date(2024, 1, 1)).tolist() == [True, False]
