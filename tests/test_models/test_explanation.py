import numpy as np
import pandas as pd
import pytest

from models.errors import AdditivityError
from models.explanation import Explanation, contributions_by_lightgbm
from models.margin.lightgbm_trees import merge
from models.margin.tabulated import tabulate


@pytest.fixture(scope="module")
def rows(draw):
    return draw(300, 21)[0]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # matplotlib's, in shap's plots
def test_tables_lightgbm_shap_and_woodelf_agree(classifier, rows):
    import shap
    from woodelf import WoodelfExplainer

    model = classifier.models_[0]
    Z = model.encode(rows)
    explainer = shap.TreeExplainer(model.booster)
    expected = explainer.shap_values(Z)
    base = float(np.ravel(explainer.expected_value)[0])
    by_lightgbm, lightgbm_base = contributions_by_lightgbm(model.booster, Z, num_threads=1)
    frame = pd.DataFrame(Z, columns=[f"x{j}" for j in range(Z.shape[1])])
    by_woodelf = WoodelfExplainer(model.booster).shap_values(frame, verbose=False)
    np.testing.assert_allclose(by_lightgbm, expected, atol=1e-10)
    np.testing.assert_allclose(model.tables.contributions(Z), expected, atol=1e-10)
    np.testing.assert_allclose(by_woodelf, expected, atol=1e-5)  # it works in single precision
    assert lightgbm_base == pytest.approx(base, abs=1e-10)
    assert model.tables.base == pytest.approx(base, abs=1e-10)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("depth", [1, 3, 6])
def test_tables_agree_with_lightgbm_on_trees_of_other_shapes(seed, depth):
    import lightgbm as lgb

    # Few columns, so that a path meets a column several times; zeros and gaps take their own side.
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 4, size=(500, 4)).astype(float)
    X[rng.random(X.shape) < 0.2] = np.nan
    X[:, 3] = np.nan_to_num(X[:, 3])
    parameters = {
        "max_depth": depth,
        "num_leaves": 40,
        "min_data_in_leaf": 3,
        "verbosity": -1,
        "num_threads": 1,
        "zero_as_missing": seed % 2 == 1,
        "deterministic": True,
        "seed": seed,
    }
    y = np.nansum(X, axis=1) + rng.normal(size=500)
    booster = lgb.train(parameters, lgb.Dataset(X, label=y), num_boost_round=8)
    laid_out = tabulate(merge([booster.model_to_string()], 1.0))
    expected = booster.predict(X, pred_contrib=True)
    np.testing.assert_allclose(laid_out.contributions(X), expected[:, :-1], atol=1e-10)
    assert laid_out.base == pytest.approx(expected[0, -1], abs=1e-10)


def test_a_tree_without_a_split_is_all_base():
    import lightgbm as lgb

    X = np.zeros((50, 2))
    booster = lgb.train(
        {"verbosity": -1, "num_threads": 1, "objective": "regression"},
        lgb.Dataset(X, label=np.full(50, 3.0)),
        num_boost_round=2,
    )
    laid_out = tabulate(booster.model_to_string())
    assert laid_out.base == pytest.approx(booster.predict(X)[0])
    assert not laid_out.contributions(X).any()


@pytest.mark.parametrize("method", ["lightgbm", "table"])
def test_contributions_add_up_to_the_served_margin(classifier, regressor, rows, method):
    for head, X in ((classifier, rows), (regressor, rows.drop(columns="kind"))):
        explained = head.explain(X, method=method)
        assert np.abs(explained.margin - head.predict_margin(X)).max() <= 1e-6


def test_a_missing_value_has_a_contribution_both_ways_agree_on(classifier, rows):
    emptied = rows.assign(share=np.nan, kind=None, count_1=np.nan)
    one = classifier.explain(emptied, method="lightgbm").values
    other = classifier.explain(emptied, method="table").values
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_base_is_the_mean_margin_of_the_training_rows_at_heart(classifier, draw):
    X = draw(1500)[0]
    explained = classifier.explain(X)
    assert explained.base[0] == pytest.approx(classifier.predict_margin(X).mean(), abs=0.15)


def test_merged_trees_predict_the_weighted_mean_of_the_members():
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    members = [
        lgb.train(
            {
                "objective": "binary",
                "verbosity": -1,
                "seed": k,
                "bagging_fraction": 0.5,
                "bagging_freq": 1,
                "num_threads": 1,
            },
            lgb.Dataset(X, label=(X[:, 0] + rng.normal(size=400) > 0)),
            num_boost_round=5,
        )
        for k in range(3)
    ]
    merged = lgb.Booster(model_str=merge([m.model_to_string() for m in members], 0.4))
    expected = 0.4 * np.mean([m.predict(X, raw_score=True) for m in members], axis=0)
    np.testing.assert_allclose(merged.predict(X, raw_score=True), expected, atol=1e-12)


def test_a_gap_is_refused():
    explained = Explanation(np.ones((2, 3)), np.zeros(2), ("a", "b", "c"))
    assert explained.checked(np.array([3.0, 3.0])) is explained
    with pytest.raises(AdditivityError, match="row 1"):
        explained.checked(np.array([3.0, 3.1]))
    with pytest.raises(AdditivityError):
        explained.checked(np.array([3.0, np.nan]))
