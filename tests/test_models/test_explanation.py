import numpy as np
import pytest

from models.boosting import merge
from models.errors import AdditivityError
from models.explanation import (
    Explanation,
    contributions_by_lightgbm,
    contributions_by_woodelf,
)


@pytest.fixture(scope="module")
def rows(draw):
    return draw(300, 21)[0]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # matplotlib's, in shap's plots
def test_lightgbm_woodelf_and_shap_agree(classifier, rows):
    import shap

    model = classifier.models_[0]
    Z = model.encode(rows)
    raw = model.booster.predict(Z, raw_score=True)
    explainer = shap.TreeExplainer(model.booster)
    expected = explainer.shap_values(Z)
    for values, base in (
        contributions_by_lightgbm(model.booster, Z, num_threads=1),
        contributions_by_woodelf(model.booster, Z, raw),
    ):
        scale = max(1.0, float(np.abs(raw).max()))
        assert np.abs(values - expected).max() <= 1e-5 * scale
        assert base == pytest.approx(float(np.ravel(explainer.expected_value)[0]), abs=1e-9)


@pytest.mark.parametrize("method", ["lightgbm", "woodelf"])
def test_contributions_add_up_to_the_served_margin(classifier, regressor, rows, method):
    for head, X in ((classifier, rows), (regressor, rows.drop(columns="kind"))):
        explained = head.explain(X, method=method)
        assert np.abs(explained.margin - head.predict_margin(X)).max() <= 1e-6


def test_a_missing_value_has_a_contribution_both_ways_agree_on(classifier, rows):
    emptied = rows.assign(share=np.nan, kind=None, count_1=np.nan)
    one = classifier.explain(emptied, method="lightgbm").values
    other = classifier.explain(emptied, method="woodelf").values
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
