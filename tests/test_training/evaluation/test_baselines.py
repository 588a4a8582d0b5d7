"""Simple rules read as written; the logistic regression learns."""

import numpy as np
import pandas as pd
import pytest

from training.errors import RecipeError
from training.evaluation.baselines import RANDOM, LogLogistic, apply_rule
from training.evaluation.head_evaluation import RULE
from training.evaluation.metrics import Ranking
from training.heads.fit import rule_columns

X = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [0.0, 2.0, 5.0]})


def test_a_rule_is_a_signed_sum():
    assert apply_rule("+b -a", X.fillna(0)).tolist() == [-1.0, 2.0, 2.0]


def test_missing_comes_last_or_first_as_written():
    assert np.argsort(-apply_rule("+a", X)).tolist() == [2, 0, 1]
    assert np.argsort(-apply_rule("-a", X)).tolist() == [0, 2, 1]
    assert np.argsort(-apply_rule("+a?", X)).tolist() == [1, 2, 0]


def test_points_count_from_a_value_on():
    assert apply_rule("+a>=2 +b>=2", X).tolist() == [0.0, 1.0, 2.0]


def test_a_signal_that_the_data_lack_counts_zero_and_an_unknown_one_is_refused():
    assert apply_rule("+a>=2 +gone>=2", X, absent={"gone"}).tolist() == [0.0, 0.0, 1.0]
    assert apply_rule("+gone", X, absent={"gone"}).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(RecipeError, match="no signal"):
        apply_rule("+gone", X)


@pytest.mark.parametrize("text", ["", "a", "+a * 2", "+c"])
def test_a_rule_that_cannot_be_read_is_refused(text):
    with pytest.raises(RecipeError):
        apply_rule(text, X)


def test_the_logistic_regression_learns_through_missing_values_and_scales():
    rng = np.random.default_rng(0)
    count = np.exp(rng.normal(3, 2, 4000))
    y = (rng.random(4000) < 1 / (1 + np.exp(3 - 0.8 * np.log1p(count)))).astype(float)
    table = pd.DataFrame({"count": count, "noise": rng.normal(size=4000)})
    table.loc[rng.random(4000) < 0.1, "count"] = np.nan
    model = LogLogistic()
    assert model.fit(table[:2000], y[:2000]) is model, "as every estimator's fit"
    assert Ranking(model.log_odds(table[2000:])).auc(y[2000:]) > 0.75


def test_what_chance_finds_is_its_expectation():
    """One draw of a list may find nothing; the baseline is what a random list finds on average."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.random(500)})
    y = (rng.random(500) < 0.05).astype(float)
    score = rule_columns({}, X, None)[RULE + RANDOM]
    found = Ranking(score).captured(y, share=0.1) / y.sum()
    assert found == pytest.approx(0.1)
    assert Ranking(score).auc(y) == pytest.approx(0.5)
