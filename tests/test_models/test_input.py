"""Tables of every kind: read alike, or refused with the column's name."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from models import RateRegressor, RiskClassifier
from models.errors import InputError, LabelError, ParameterError, WeightError

QUICK = {"n_repeats": 1, "max_rounds": 15, "n_folds": 3}


@pytest.fixture(scope="module")
def data(draw):
    X, y, _ = draw(400, 5)
    return X, y


def fitted(X, y, **more):
    return RiskClassifier(**QUICK).fit(X, y, **more)


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.assign(empty=np.nan),
        lambda X: X.assign(constant=7),
        lambda X: X.assign(mixed=[1, "a", None, 2.5] * 100),
        lambda X: X.assign(text_numbers=np.array(["1", "2"] * 200)),
        lambda X: X.assign(nothing=None),
        lambda X: X.set_axis(pd.Index([f"d{i}" for i in range(400)])),
        lambda X: X.set_axis(pd.MultiIndex.from_product([range(20), range(20)])),
        lambda X: X.astype({f"count_{j}": "float32" for j in range(8)}),
        lambda X: X.convert_dtypes(),
        lambda X: X.assign(kind=X["kind"].astype("category")),
        lambda X: X.assign(maybe=pd.array([True, None] * 200, dtype="boolean")),
        lambda X: X.assign(level=pd.Categorical([3, 1, 2, None] * 100, ordered=True)),
        lambda X: X[["count_0"]],
        lambda X: X[["kind"]],
    ],
)
def test_a_table_of_any_kind_is_fitted_scored_and_explained(data, change):
    X, y = change(data[0]), data[1]
    model = fitted(X, y)
    p = model.predict_proba(X)[:, 1]
    assert np.isfinite(p).all()
    assert model.explain(X).values.shape == X.shape


def test_column_types_do_not_change_what_is_learned(data):
    X, y = data
    plain = fitted(X, y).predict_proba(X)
    for same in (X.convert_dtypes(), X.assign(kind=X["kind"].astype("category"))):
        np.testing.assert_array_equal(fitted(same, y).predict_proba(same), plain)


def test_more_columns_than_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 200))
    model = fitted(X, X[:, 0] > 0)
    assert model.explain(X).columns[:2] == ("x0", "x1")


@pytest.mark.parametrize(
    "y",
    [
        lambda y: y.astype(bool),
        lambda y: np.where(y, "severe", "clean"),
        lambda y: pd.Series(y, dtype="boolean"),
        lambda y: pd.Series(y, dtype="Int64"),
        lambda y: pd.Series(np.where(y, "yes", "no"), dtype="category"),
        lambda y: y.astype(bool).astype(object),
        list,
    ],
)
def test_labels_of_any_kind(data, y):
    X, labels = data
    model = fitted(X, y(labels))
    reference = fitted(X, labels)
    positive = 0 if model.classes_[1] == "clean" else 1
    assert list(model.classes_)[positive] in (True, 1, "severe", "yes")
    if positive == 1:
        np.testing.assert_array_equal(model.predict_proba(X), reference.predict_proba(X))


def test_an_unseen_category_counts_as_missing(data):
    X, y = data
    X = X.assign(kind=X["kind"].where(np.arange(400) % 5 > 0))
    model = fitted(X, y)
    np.testing.assert_array_equal(
        model.predict_proba(X.assign(kind="never seen")),
        model.predict_proba(X.assign(kind=None)),
    )


def test_an_all_missing_row_is_scored(classifier, data):
    row = data[0].iloc[[0]].astype(object)
    row.loc[:, :] = None
    assert 0 < classifier.predict_proba(row)[0, 1] < 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X: X.assign(day=pd.Timestamp("2020-01-01")), "'day' holds dates"),
        (lambda X: X.assign(day=date(2020, 1, 1)), "'day' holds dates"),
        (lambda X: X.assign(span=pd.Timedelta("1D")), "'span' holds dates"),
        (lambda X: X.set_axis(["a"] * X.shape[1], axis=1), "Two columns have one name"),
        (lambda X: X.assign(count_1=np.inf), "infinity: column 'count_1'"),
        (lambda X: X.iloc[:0], "0 sample"),
        (lambda X: X.iloc[:, :0], "0 feature"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(data, change, words):
    X = change(data[0])
    with pytest.raises(InputError, match=words):
        fitted(X, data[1][: len(X)])


def test_missing_columns_are_named_with_the_nearest(classifier, data):
    with pytest.raises(InputError, match="'count_2'; did you mean 'count2'"):
        classifier.predict_proba(data[0].rename(columns={"count_2": "count2"}))


def test_a_number_that_turned_into_text_is_refused(classifier, data):
    with pytest.raises(InputError, match="'count_2' held numbers"):
        classifier.predict_proba(data[0].assign(count_2="many"))


def test_one_class_only(data):
    with pytest.raises(LabelError, match="only one class"):
        fitted(data[0], np.zeros(400))


def test_one_class_once_weights_are_counted(data):
    X, y = data
    with pytest.raises(LabelError, match="only one class"):
        fitted(X, y, sample_weight=(y == 0).astype(float))


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_bad_weights(data, bad):
    X, y = data
    weights = np.ones(400)
    weights[7] = bad
    with pytest.raises(WeightError, match="row 7"):
        fitted(X, y, sample_weight=weights)


def test_weights_that_are_all_zero(data):
    with pytest.raises(WeightError, match="zero"):
        fitted(*data, sample_weight=np.zeros(400))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_that_are_not_finite(data, bad):
    X, y = data
    y = y.astype(float)
    y[3] = bad
    with pytest.raises(LabelError, match=r"NaN|infinity"):
        fitted(X, y)
    with pytest.raises(LabelError, match=r"NaN|infinity"):
        RateRegressor(**QUICK).fit(X, y)


@pytest.mark.parametrize("y", [np.full(400, -1.0), np.zeros(400)])
def test_counts_no_rate_can_be_learned_from(data, y):
    with pytest.raises(LabelError):
        RateRegressor(**QUICK).fit(data[0], y)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"monotone": {"count_00": 1}}, "did you mean 'count_0'"),
        ({"monotone": {"count_0": 2}}, "direction"),
        ({"n_folds": 1}, "n_folds"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"num_threads": 0}, "num_threads"),
    ],
)
def test_parameters_out_of_range(data, parameters, words):
    with pytest.raises(ParameterError, match=words):
        RiskClassifier(**parameters).fit(*data)


def test_groups_of_another_length(data):
    with pytest.raises(InputError, match="one a row"):
        fitted(*data, groups=np.zeros(3))
