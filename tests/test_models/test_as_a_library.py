"""What users of scikit-learn and shap do with an estimator."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from models import RiskClassifier
from models.errors import InputError, ParameterError

SMALL = {"max_rounds": 10, "n_folds": 3, "n_repeats": 1}


@pytest.fixture(scope="module")
def data() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    c = rng.choice(list("uvwxyz"), 200)
    X = pd.DataFrame({"a": rng.normal(size=200), "c": c})
    return X, ((c == "z") * 0.7 + 0.1 > rng.random(200)).astype(int)


@pytest.mark.parametrize("kind", ["text", "category", "object"])
def test_text_has_no_direction(kind: str, data: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = data
    X = X.assign(c=X["c"].astype({"text": "str", "category": "category", "object": object}[kind]))
    with pytest.raises(ParameterError, match="'c' a direction"):
        RiskClassifier(monotone={"c": 1}, **SMALL).fit(X, y)
    RiskClassifier(monotone={"a": 1}, **SMALL).fit(X, y)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_a_sparse_table_gives_what_the_dense_one_gives(
    form: type, data: tuple[pd.DataFrame, np.ndarray]
) -> None:
    X, y = data
    dense = pd.get_dummies(X).to_numpy(dtype=np.float64)
    told = RiskClassifier(**SMALL).fit(dense, y).predict_proba(dense)
    thin = form(dense)
    assert np.array_equal(RiskClassifier(**SMALL).fit(thin, y).predict_proba(thin), told)


def test_one_hot_encoding_at_its_defaults(data: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = data
    encode = make_column_transformer(
        (OneHotEncoder(), ["c"]), remainder="passthrough", sparse_threshold=1.0
    )
    model = make_pipeline(encode, RiskClassifier(**SMALL)).fit(X, y)
    assert model.predict_proba(X).shape == (200, 2)


def test_a_sparse_table_that_is_too_large_says_what_to_set(
    data: tuple[pd.DataFrame, np.ndarray],
) -> None:
    wide = sparse.csr_array((200, 10_000_000))
    with pytest.raises(InputError, match="sparse_output=False"):
        RiskClassifier(**SMALL).fit(wide, data[1])


@pytest.mark.parametrize(
    "bad",
    [
        {"n_folds": 1}, {"n_folds": 2.5}, {"n_folds": "five"}, {"n_repeats": 0}, {"num_leaves": 1},
        {"max_rounds": 0}, {"max_rounds": None}, {"n_jobs": 0}, {"n_jobs": "all"},
        {"learning_rate": 0}, {"learning_rate": "fast"},
        {"random_state": "seed"}, {"monotone": ["a"]}, {"monotone": {"b": 1}},
        {"monotone": {"a": 2}},
    ],
    ids=str,
)  # fmt: skip
def test_each_bad_parameter_is_an_error_of_its_own(
    bad: dict[str, object], data: tuple[pd.DataFrame, np.ndarray]
) -> None:
    with pytest.raises(ParameterError, match=f"Parameter {next(iter(bad))}"):
        RiskClassifier(**(SMALL | bad)).fit(*data)


@pytest.mark.filterwarnings("ignore")  # shap's own, of matplotlib and numpy
def test_an_explanation_is_drawn_by_shap(data: tuple[pd.DataFrame, np.ndarray]) -> None:
    import matplotlib.pyplot as plt
    import shap

    X, y = data
    told = RiskClassifier(**SMALL).fit(X, y).explain(X)
    assert len(told) == 200
    one = told[3]
    assert (one.values.shape, one.base.shape) == ((2,), ())
    assert float(one.margin) == pytest.approx(told.margin[3])
    assert len(told[:5]) == 5
    whole = told.to_shap()
    assert isinstance(whole, shap.Explanation)
    assert np.array_equal(whole.values, told.values)
    assert whole.feature_names == list(told.columns)
    shap.plots.waterfall(one.to_shap(), show=False)
    assert "a" in " ".join(t.get_text() for t in plt.gcf().axes[0].get_yticklabels())
    plt.close("all")
    shap.plots.beeswarm(whole, show=False)
    plt.close("all")
